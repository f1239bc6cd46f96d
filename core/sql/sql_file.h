/* sql_file.h - plain files beside a database, through the database's own file layer (VFS).
 *
 * Whatever stands behind SQLite on a phone, in a test or in the simulator stands behind these files
 * too: one file layer, so that a crash that loses unsynced writes loses them here as well. A new
 * file gets rights and owner of the database it belongs to when its name is the database's name
 * with "-something" behind it; its folder entry is synced with its first sync.
 *
 * No buffering: a write that returned is with the operating system; sql_file_sync makes it last. */
#ifndef FB_SQL_SQL_FILE_H
#define FB_SQL_SQL_FILE_H

#include "base/bytes.h"
#include "base/check.h"

typedef struct sql_file sql_file;

/* vfs NULL: the default. E_NOT_FOUND: there is no such file and `create` is false. */
FB_MUST_USE fb_code sql_file_open(const char *vfs, const char *path, bool create, sql_file **out);
/* The database's own file, locked against every other connection until close; E_BUSY: somebody has
 * it open. Its bytes may be anything. */
FB_MUST_USE fb_code sql_file_open_alone(const char *vfs, const char *path, sql_file **out);
void sql_file_close(sql_file *f); /* NULL is fine */
/* *got_out: bytes there were; fewer than asked at the end of the file. */
FB_MUST_USE fb_code sql_file_read(sql_file *f, uint64_t offset, void *out, size_t size,
                                  size_t *got_out);
/* Of any size. E_DISK_FULL, E_IO: a part of it may have been written. */
FB_MUST_USE fb_code sql_file_write(sql_file *f, uint64_t offset, const void *data, size_t size);
FB_MUST_USE fb_code sql_file_truncate(sql_file *f, uint64_t size);
FB_MUST_USE fb_code sql_file_sync(sql_file *f);
FB_MUST_USE fb_code sql_file_size(sql_file *f, uint64_t *out);
bool sql_file_exists(const char *vfs, const char *path); /* and is not empty */
bool sql_log_exists(const char *vfs, const char *path); /* the database has a write-ahead log: it is
                                                           in use, or was not closed */
FB_MUST_USE fb_code sql_file_delete(const char *vfs, const char *path); /* an absent one is fine */
/* Copy all bytes into the file `to`, which is replaced, and sync it; *unread_out: zeros stand there
 * for pages that could not be read. From the open file, because opening a database's file a second
 * time and closing it may drop its locks. */
FB_MUST_USE fb_code sql_file_copy(sql_file *from, const char *vfs, const char *to,
                                  bool *unread_out);

#endif
