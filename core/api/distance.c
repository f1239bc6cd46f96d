/* distance.c - metres between two points, whole numbers only. See fieldbook/customer.h.
 *
 * Equirectangular on a sphere of 6371008.8 m: dy = dlat, dx = dlon * cos(middle latitude), both in
 * centimetres; the square root is exact to 1 cm. Error against the great circle: below 0.2 % to 200
 * km and 70 degrees of latitude (tests/unit/test_api_find.c holds the vectors). */
#include "fieldbook/customer.h"

enum { DEGREE_E7 = 10000000, HALF_TURN_E7 = 1800000000, COS_BITS = 20 };

/* 1e-7 degree of latitude is 11119508 nanometres. */
#define NM_PER_E7 INT64_C(11119508)
#define NM_PER_CM INT64_C(10000000)

/* cos(d degrees) * 2^20, d = 0 .. 90 */
/* clang-format off */
static const int32_t COS_Q20[91] = {
    1048576, 1048416, 1047937, 1047139, 1046022, 1044586, 1042832, 1040760, 1038371, 1035666,
    1032646, 1029311, 1025662, 1021701, 1017429, 1012847, 1007956, 1002758, 997255, 991448,
    985339, 978930, 972223, 965219, 957922, 950333, 942454, 934288, 925838, 917105,
    908093, 898805, 889243, 879410, 869309, 858943, 848316, 837430, 826289, 814897,
    803256, 791370, 779244, 766880, 754282, 741455, 728402, 715127, 701634, 687928,
    674012, 659890, 645568, 631049, 616338, 601438, 586356, 571095, 555661, 540057,
    524288, 508360, 492277, 476044, 459665, 443147, 426494, 409711, 392803, 375776,
    358634, 341383, 324028, 306574, 289027, 271391, 253673, 235878, 218011, 200078,
    182083, 164033, 145934, 127789, 109606, 91389, 73145, 54878, 36595, 18300,
    0,
};
/* clang-format on */

static int64_t magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

/* cos of a latitude in 1e-7 degree, times 2^20; linear between whole degrees. */
static int64_t cos_q20(int64_t lat_e7)
{
    int64_t at = magnitude(lat_e7);

    if (at >= 90 * (int64_t)DEGREE_E7) {
        return 0;
    }
    int64_t degree = at / DEGREE_E7;
    int64_t rest = at % DEGREE_E7;
    int64_t low = COS_Q20[degree];
    return low - (low - COS_Q20[degree + 1]) * rest / DEGREE_E7;
}

static uint64_t root(uint64_t v)
{
    uint64_t r = 0;

    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1) {
        uint64_t next = r | bit;
        if (next * next <= v) {
            r = next;
        }
    }
    return r;
}

int64_t fb_distance_m(int32_t lat1_e7, int32_t lon1_e7, int32_t lat2_e7, int32_t lon2_e7)
{
    int64_t dlat = magnitude((int64_t)lat2_e7 - lat1_e7);
    int64_t dlon = magnitude((int64_t)lon2_e7 - lon1_e7);

    if (dlon > HALF_TURN_E7) {
        dlon = 2 * (int64_t)HALF_TURN_E7 - dlon;
    }
    int64_t across = (dlon * cos_q20(((int64_t)lat1_e7 + lat2_e7) / 2)) >> COS_BITS;
    uint64_t dy_cm = (uint64_t)(dlat * (NM_PER_E7 / 100) / (NM_PER_CM / 100));
    uint64_t dx_cm = (uint64_t)(magnitude(across) * (NM_PER_E7 / 100) / (NM_PER_CM / 100));
    return (int64_t)((root(dx_cm * dx_cm + dy_cm * dy_cm) + 50) / 100);
}
