/* lives_inside.h - what lives.c and lives_office.c share. Every step must work: else the program
 * ends. */
#ifndef FB_FAULT_LIVES_INSIDE_H
#define FB_FAULT_LIVES_INSIDE_H

#include "fault/torture/lives.h"

/* A world whose requests somebody hears. */
typedef struct life {
    fleet f;
    lives_ear ear;
} life;

void life_open(life *l, const lives_ear *ear, server_packing packing);
void insist(bool holds, const char *what);
void catalogue_grow(fleet *f, const char *module);
/* A customer with a contact. */
fb_id shop_add(fleet *f, const char *code, int territory);
void shop_move(fleet *f, const fb_id *id, int territory);
void customer_says(fleet_device *d, const fb_id *id, const char *json);
fb_id customer_new(fleet_device *d, const char *json);
fb_id person_adds(fleet_device *d, const char *entity, const char *json);
/* One text column. */
void person_writes(fleet_device *d, const char *entity, const fb_id *id, const char *column,
                   const char *text);
void talk_log(fleet_device *d, const fb_id *customer, const char *subject);
fb_id order_take(fleet_device *d, const fb_id *customer, bool submit);
/* A payment of 10.00, half of it for the order. */
void order_pay(fleet_device *d, const fb_id *customer, const fb_id *order);
/* A picture of the customer, all of which goes up. */
fb_id picture_send(fleet_device *d, const fb_id *customer);
/* The first row that the SQL finds. */
fb_id shown_row(fleet_device *d, const char *sql);
/* A one-time code of the first user. */
void code_make(fleet *f, char *out, size_t size);

/* lives_office.c: what two phones and the office do to the same rows; rules of the server. */
void office_live(moment all[MOMENTS], const lives_ear *ear);

#endif
