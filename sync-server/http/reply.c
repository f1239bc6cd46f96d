/* reply.c - see reply.h. */
#include "sync-server/http/reply.h"

typedef struct reason {
    int status;
    const char *text;
} reason;

static const reason REASONS[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].status == status) {
            return REASONS[i].text;
        }
    }
    return "Other";
}

/* Year, month and day of a day counted from 1970-01-01, by the Gregorian calendar's 400-year
 * cycle of 146097 days; the year is taken to begin in March so that February's end is the last. */
static void civil_of(int64_t day, int *year_out, int *month_out, int *day_out)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *day_out = (int)(of_year - (153 * month + 2) / 5 + 1);
    *month_out = (int)(month < 10 ? month + 3 : month - 9);
    *year_out = (int)(year + era * 400 + (*month_out <= 2 ? 1 : 0));
}

void http_date_put(buf *out, int64_t wall_ms)
{
    static const char *const DAYS[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t s = wall_ms > 0 ? wall_ms / 1000 : 0;
    int year = 0, month = 0, day = 0;
    civil_of(s / 86400, &year, &month, &day);
    buf_printf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS[s / 86400 % 7], day,
               MONTHS[month - 1], year, (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
}

void http_reply_put(buf *out, const http_reply *reply)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\nDate: ", reply->status, reason_of(reply->status));
    http_date_put(out, reply->wall_ms);
    buf_printf(out,
               "\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\n",
               reply->body_bytes);
    if (reply->body_bytes > 0) {
        buf_put_str(out, "Content-Type: application/x-fieldbook\r\n");
    }
    if (reply->zstd) {
        buf_put_str(out, "Content-Encoding: zstd\r\n");
    }
    if (reply->retry_s > 0) {
        buf_printf(out, "Retry-After: %u\r\n", (unsigned)reply->retry_s);
    }
    if (reply->allow != NULL) {
        buf_printf(out, "Allow: %s\r\n", reply->allow);
    }
    buf_put_str(out, reply->close ? "Connection: close\r\n\r\n" : "\r\n");
}
