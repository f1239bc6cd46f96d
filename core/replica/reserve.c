/* reserve.c - 64 KiB kept on the disk for the day it is full, so that the last order can be saved.
 *
 * <database>-reserve holds nothing. The first call that finds the disk full empties it and fails as
 * it must: nothing was changed. The same call made again then has room. The file is filled again
 * when the replica is opened or has synchronised, if there is space. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/room.h"

enum { RESERVE_BYTES = 64 << 10 };

static fb_code reserve_open(const replica *r, bool create, sql_file **out)
{
    size_t room = strlen(r->second.j.path) + sizeof "-reserve";
    char *name = malloc(room);
    if (name == NULL) {
        return FB_E_NO_MEMORY;
    }
    snprintf(name, room, "%s-reserve", r->second.j.path);
    fb_code rc = sql_file_open(r->second.j.vfs, name, create, out);
    free(name);
    return rc;
}

static fb_code fill(sql_file *f)
{
    uint64_t size = 0;
    FB_TRY(sql_file_size(f, &size));
    if (size >= RESERVE_BYTES) {
        return FB_OK;
    }
    char *bytes = calloc(1, RESERVE_BYTES);
    if (bytes == NULL) {
        return FB_E_NO_MEMORY;
    }
    memset(bytes, 'R', RESERVE_BYTES); /* zeros might take no space */
    fb_code rc = sql_file_write(f, 0, bytes, RESERVE_BYTES);
    free(bytes);
    if (rc != FB_OK) {
        (void)!sql_file_truncate(f, 0);
    }
    return rc;
}

void reserve_keep(replica *r)
{
    sql_file *f = NULL;
    if (r->second.on && reserve_open(r, true, &f) == FB_OK) {
        r->reserved = fill(f) == FB_OK;
        sql_file_close(f);
    }
}

bool reserve_free(replica *r)
{
    sql_file *f = NULL;
    if (!r->reserved || reserve_open(r, false, &f) != FB_OK) {
        return false;
    }
    r->reserved = false;
    bool freed = sql_file_truncate(f, 0) == FB_OK && sql_file_sync(f) == FB_OK;
    sql_file_close(f);
    return freed;
}
