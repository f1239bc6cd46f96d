/* fieldbook.h - everything a program needs to use Fieldbook; includes every public header.
 *
 *   fb_db_open -> fb_enrol (once) -> find, visit, order ... -> fb_sync_step -> fb_db_close
 *
 * Every call returns an fb_code and fills *err only on failure. A call that writes returns after
 * the data is on the disk; the server hears of it with the next synchronisation. */
#ifndef FIELDBOOK_FIELDBOOK_H
#define FIELDBOOK_FIELDBOOK_H

#include "fieldbook/activity.h"
#include "fieldbook/attachment.h"
#include "fieldbook/command.h"
#include "fieldbook/customer.h"
#include "fieldbook/db.h"
#include "fieldbook/error.h"
#include "fieldbook/export.h"
#include "fieldbook/files.h"
#include "fieldbook/observe.h"
#include "fieldbook/order.h"
#include "fieldbook/outbox.h"
#include "fieldbook/parked.h"
#include "fieldbook/payment.h"
#include "fieldbook/port.h"
#include "fieldbook/problem.h"
#include "fieldbook/query.h"
#include "fieldbook/record.h"
#include "fieldbook/status.h"
#include "fieldbook/sync.h"
#include "fieldbook/task.h"
#include "fieldbook/types.h"
#include "fieldbook/version.h"
#include "fieldbook/visit.h"

#endif
