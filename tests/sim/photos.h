/* photos.h - what the files of sim/photos*.c share; nobody else includes it.
 *
 *   photos.c         what people do with pictures, what strikes their files, healing
 *   photos_bytes.c   the bytes of a picture, and where they stand
 *   photos_check.c   where each byte must be in the end */
#ifndef FB_SIM_PHOTOS_H
#define FB_SIM_PHOTOS_H

#include "base/blob_file.h"
#include "sim/sim.h"

enum {
    ORIGINAL,
    THUMB,
    PARTS,
    SMALL_BYTES_MAX = 1500,
    LARGE_BYTES_MAX = 45000 /* three pieces */
};
#define SERVER_FOLDER "server/master.db.blobs"
#define BACKUP_FOLDER "srvblobs/all"

typedef struct content {
    unsigned char bytes[LARGE_BYTES_MAX];
    size_t size;
} content;

void content_make(uint64_t number, int part, content *out);
fb_text content_text(const content *c);
/* Do exactly these bytes stand there? */
bool stands(sim *s, const char *file, const content *c);
bool server_has(sim *s, const char *folder, const content *c);
/* The hash that a file in a folder of photos has for a name. */
bool name_of(const char *file, digest *out);

#endif
