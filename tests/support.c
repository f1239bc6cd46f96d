/* support.c - keeps the support library non-empty; the helpers live in tests/support. */
typedef int fb_test_support_present;
