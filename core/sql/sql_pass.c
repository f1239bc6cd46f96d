/* sql_pass.c - see sql_pass.h. */
#include "sql/sql_pass.h"

int pass_close(sqlite3_file *f)
{
    return pass_real(f)->pMethods->xClose(pass_real(f));
}

int pass_read(sqlite3_file *f, void *out, int amount, sqlite3_int64 offset)
{
    return pass_real(f)->pMethods->xRead(pass_real(f), out, amount, offset);
}

int pass_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return pass_real(f)->pMethods->xTruncate(pass_real(f), size);
}

int pass_file_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return pass_real(f)->pMethods->xFileSize(pass_real(f), out);
}

int pass_lock(sqlite3_file *f, int level)
{
    return pass_real(f)->pMethods->xLock(pass_real(f), level);
}

int pass_unlock(sqlite3_file *f, int level)
{
    return pass_real(f)->pMethods->xUnlock(pass_real(f), level);
}

int pass_check_reserved(sqlite3_file *f, int *out)
{
    return pass_real(f)->pMethods->xCheckReservedLock(pass_real(f), out);
}

int pass_file_control(sqlite3_file *f, int op, void *argument)
{
    return pass_real(f)->pMethods->xFileControl(pass_real(f), op, argument);
}

int pass_sector_size(sqlite3_file *f)
{
    return pass_real(f)->pMethods->xSectorSize(pass_real(f));
}

int pass_characteristics(sqlite3_file *f)
{
    return pass_real(f)->pMethods->xDeviceCharacteristics(pass_real(f));
}
