/* limits.h - every limit both sides keep. A message beyond one is refused as a whole
 * (E_LIMIT) and changes nothing. Source: reliability.md 6.1, protocol.md section 9. */
#ifndef FB_SCHEMA_LIMITS_H
#define FB_SCHEMA_LIMITS_H

enum {
    PROTOCOL_VERSION = 1,
    /* A sync body: as carried, and unpacked. A group of the largest size may not shrink at all, and
     * a token stands before it: one always fits. */
    SYNC_BODY_BYTES_MAX = (1 << 20) + (128 << 10),
    SYNC_BODY_UNPACKED_BYTES_MAX = 8 << 20,
    ENROL_BODY_BYTES_MAX = 4096,
    /* A push: groups in one request, bytes aimed at as carried and unpacked, bytes of one group,
     * operations and rows in one. */
    PUSH_GROUPS_MAX = 1000,
    PUSH_BODY_BYTES_TARGET = 1 << 20,
    PUSH_BYTES_TARGET = 4 << 20,
    GROUP_BYTES_MAX = 1 << 20,
    GROUP_OPS_MAX = 2000,
    GROUP_ROWS_MAX = 10000,
    /* A page down: the target for its unpacked size, and the hard limit a device accepts. */
    PAGE_BYTES_TARGET = 4 << 20,
    PAGE_BYTES_MAX = 16 << 20,
    /* A row pack: chunks of one, bytes of a chunk as carried and unpacked. */
    PACK_CHUNKS_MAX = 4096,
    PACK_CHUNK_BYTES_MAX = 4 << 20,
    PACK_CHUNK_RAW_BYTES_MAX = 8 << 20,
    /* JSON. */
    JSON_DEPTH_MAX = 32,
    JSON_MEMBERS_MAX = 256,
    JSON_STRING_BYTES_MAX = 64 << 10,
    LINE_BYTES_MAX = 1 << 20,
    /* Catalogue. */
    CATALOG_ENTITIES_MAX = 400,
    CATALOG_COLUMNS_MAX = 120,
    CATALOG_BYTES_MAX = 4 << 20,
    NAME_BYTES_MAX = 48,
    TEXT_BYTES_DEFAULT = 400,
    /* Scopes of one device, and of a company: one person may see all. Each person, territory and
     * org unit is one, for ever. A set costs 6 bytes a scope in the database, a page a look at
     * each. */
    DEVICE_SCOPES_MAX = 16384,
    /* Where a download stands, as text; a pack that it names costs at most 40 bytes of it, and one
     * that it does not name comes as pages. */
    TOKEN_BYTES_MAX = 64 << 10,
    TOKEN_PACKS_MAX = 1000,
    /* Attachments: a whole file, a thumbnail, a piece of one in one request, the line before a
     * piece, files asked about in one request. */
    BLOB_BYTES_MAX = 256 << 20,
    BLOB_THUMB_BYTES_MAX = 256 << 10,
    BLOB_CHUNK_BYTES_MAX = 4 << 20,
    BLOB_LINE_BYTES_MAX = 1024,
    BLOB_ASK_MAX = 500,
    BLOB_ASK_BYTES_MAX = 64 << 10,
    /* Long poll. */
    WAIT_MS_MAX = 60000,
};

#endif
