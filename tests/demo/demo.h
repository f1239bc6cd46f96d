/* demo.h - the main job on real data, as one program: `./run demo`.
 *
 *   main.c      the six steps, what is printed, the comparison of figures
 *   data.c      Northwind's CSV files in memory; the expected figures, computed with integers of
 *               its own and no code of the product's pricing
 *   company.c   what IT imports: organisation, people, products, prices, customers (CSV files)
 *   orders.c    what the reps do: one NDJSON file of groups per rep
 *   process.c   running the product's programs, and the server in the background
 *
 * The demo calls only the programs a user would call. */
#ifndef FB_DEMO_H
#define FB_DEMO_H

#include "base/bytes.h"

#include <sys/types.h>

enum { REGIONS = 4, REPS = 9, DEMO_LINES_MAX = 4000, DEMO_ORDERS_MAX = 2000, DEMO_ROWS_MAX = 200 };

typedef struct demo_table {
    fb_text *cells; /* rows * columns */
    uint32_t rows, columns;
    fb_text names[64];
} demo_table;

typedef struct demo_data {
    arena *memory;
    demo_table regions, territories, employees, employee_territories, customers, categories,
        products, orders, lines;
} demo_data;

typedef struct demo_figures {
    int64_t orders, lines, net_minor;
} demo_figures;

/* data.c */
void data_load(demo_data *d, const char *folder);
fb_text cell(const demo_table *t, uint32_t row, const char *column);
/* Row whose `column` equals value; exits when there is none: the data is known. */
uint32_t row_where(const demo_table *t, const char *column, fb_text value);
int rep_region(const demo_data *d, uint32_t employee_row);        /* 0..3, row of regions */
fb_text rep_territory(const demo_data *d, uint32_t employee_row); /* lowest code */
void figures_of_region(const demo_data *d, int region, demo_figures *out);
int64_t fixed_point(fb_text text, unsigned digits); /* "14.5", 4 -> 145000; exits on nonsense */

/* company.c, orders.c: write files below `folder`; company_import lists them in import order */
typedef struct import_file {
    const char *entity, *file;
} import_file;
extern const import_file IMPORTS[];
extern const size_t IMPORTS_COUNT;
void company_write(const demo_data *d, const char *folder);
/* rep_file: one NDJSON line per order of the rep, oldest first. The order `broken` (row of orders,
 * or UINT32_MAX) gets a discount of 30 % on the line it names. Returns the orders written. */
typedef struct broken_order {
    uint32_t order_row;  /* row of orders */
    uint32_t line_index; /* within the order, from 0 */
    int64_t true_discount_bp;
} broken_order;
broken_order broken_pick(const demo_data *d);
uint32_t orders_write(const demo_data *d, uint32_t employee_row, const broken_order *broken,
                      const char *path);
bool price_is_override(const demo_data *d, uint32_t line_row);

/* process.c */
typedef struct run_result {
    int exit_code;
    buf out; /* standard output */
    int64_t elapsed_ms;
} run_result;
/* argv ends with NULL; argv[0] is looked up beside this program. Standard error goes to log_path
 * (appended). */
run_result run_program(const char *const *argv, const char *log_path);
/* Like run_program, but a failure prints the command, its output and the log, and ends the demo. */
run_result run_ok(const char *const *argv, const char *log_path);
void run_free(run_result *r);
pid_t server_start(const char *home, const char *log_path);
void server_stop(pid_t pid);
int free_port(void);
int64_t now_ms(void);
_Noreturn void demo_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void file_write(const char *path, const buf *content);
bool file_read(const char *path, buf *out);
void make_folder(const char *path);

#endif
