/* person_fixture.h - a person whose numbers stand in a refused group, in its verdict and in a row
 * that left, and the download that says they are erased. */
#ifndef FB_TESTS_PERSON_FIXTURE_H
#define FB_TESTS_PERSON_FIXTURE_H

#include "support/lab.h"
#include "wire/sync_msg.h"

/* A contact's numbers in a refused group, in its verdict, and in a row that left. */
static const char CONTACT[] =
    "{\"e\":\"contact\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\",\"phone\"]}\n"
    "[\"01900000-0000-7000-8000-000000000031\",\"50\",\"Li\",\"0101\"]\n";
static const char CONTACT_LEAVES[] = "{\"e\":\"contact\",\"k\":\"leave\"}\n"
                                     "[\"01900000-0000-7000-8000-000000000031\"]\n";
static const char REFUSED[] =
    "{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"rejected\",\"err\":\"E_INVALID\",\"field\":"
    "\"contact.phone\",\"en\":\"no\",\"zh\":\"否\",\"row\":{\"id\":"
    "\"01900000-0000-7000-8000-000000000031\",\"phone\":\"0303\"}}\n";
static const char ERASED[] =
    "{\"e\":\"erasure\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"entity\",\"entity_id\"]}\n"
    "[\"01900000-0000-7000-8000-000000000041\",\"60\",\"contact\","
    "\"01900000-0000-7000-8000-000000000031\"]\n";

static inline void person_make(lab *l)
{
    buf out;
    fb_error err = {.code = FB_OK};
    const fb_id id = lab_id(0x31);
    const cat_entity *contact = catalog_entity_str(replica_catalog(l->r), "contact");
    int phone = cat_column_str(contact, "phone");
    const fb_value mine = {.kind = FB_KIND_TEXT, .u.text = T("0202")};
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, true);
    reply_role(l, &out, "REP");
    buf_put_str(&out, CONTACT);
    reply_take(l, &out);
    lab_begin(l, "contact.edit");
    assert_int_equal(capture_update(l->r, contact, &id, &phone, &mine, 1, &err), FB_OK);
    lab_commit(l);
    reply_begin(l, &out, 1, 1, 7);
    buf_put_str(&out, REFUSED);
    reply_page(&out, "0.7", true, false);
    buf_put_str(&out, CONTACT_LEAVES);
    reply_take(l, &out);
    assert_int_equal(lab_count(l, "SELECT count(*) FROM fb_parked"), 1);
}

static inline fb_code erased(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 1, 1, 8);
    reply_page(&out, "0.8", true, false);
    buf_put_str(&out, ERASED);
    return reply_try(l, &out, &got, err);
}

#endif
