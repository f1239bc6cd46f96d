/* numbers.h - how document numbers begin: prefix, device code, six digits ("SO-A1-000123").
 *
 * The device draws them (capture_number), the server registers the same ranges at enrolment: one list
 * for both. A prefix is for ever: numbers stand on paper. */
#ifndef FB_SCHEMA_NUMBERS_H
#define FB_SCHEMA_NUMBERS_H

#define NUMBER_PREFIX_ORDER "SO"
#define NUMBER_PREFIX_PAYMENT "PM"
#define NUMBER_PREFIX_VISIT "VI"
#define NUMBER_PREFIX_CUSTOMER "CU"

#endif
