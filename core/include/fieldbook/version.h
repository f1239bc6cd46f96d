/* version.h - which Fieldbook this is: of the headers at compile time, of the library at run time.
 */
#ifndef FIELDBOOK_VERSION_H
#define FIELDBOOK_VERSION_H

#include "fieldbook/error.h"

#define FB_VERSION_MAJOR 0
#define FB_VERSION_MINOR 1
#define FB_VERSION_PATCH 0
#define FB_VERSION_NUMBER (FB_VERSION_MAJOR * 1000000 + FB_VERSION_MINOR * 1000 + FB_VERSION_PATCH)
#define FB_VERSION_TEXT "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* The library's FB_VERSION_NUMBER: 1000 for 0.1.0. A program compiled against another major number
 * must not go on. */
FB_API uint32_t fb_version_number(void);

/* The library's version as text, "0.1.0". Static; never NULL. */
FB_API const char *fb_version_text(void);

/* The version of the wire protocol the library speaks (schema/protocol.md). */
FB_API uint32_t fb_version_protocol(void);

#ifdef __cplusplus
}
#endif
#endif
