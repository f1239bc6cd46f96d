/* port.h - everything core needs from the outside world: time, randomness, a log.
 *
 * Control goes out through these pointers, knowledge comes in: core includes no platform
 * header. Given once at fb_db_open; must stay valid until fb_db_close. The public form is
 * fieldbook/port.h; this file only includes it so that rooms below the API see one name. */
#ifndef FB_BASE_PORT_H
#define FB_BASE_PORT_H

#include "fieldbook/port.h"

#endif
