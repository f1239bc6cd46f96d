/* files.h - plain files of this machine for fieldbook/files.h: photos and signatures.
 *
 *   FLS-1  a file that was synced, and a name that was given by rename, survive power loss
 *   FLS-2  files are made with mode 0600 and folders with 0700; links are not followed */
#ifndef FB_POSIX_FILES_H
#define FB_POSIX_FILES_H

#include "fieldbook/files.h"

/* Never NULL; lives as long as the process. */
const fb_files *fb_files_posix(void);

#endif
