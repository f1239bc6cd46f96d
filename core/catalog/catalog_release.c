/* catalog_release.c - a program with a newer built-in catalogue meets a catalogue that is in use.
 *
 * The modules of the release are those without "since"; what IT added carries it. The next
 * catalogue is the new release's modules and behind them IT's, under the next version. That it only
 * adds is proven as for any other (CAT-4). Nothing new: nothing to do. */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"
#include "schema/limits.h"

static bool is_added_by_it(const cJSON *module)
{
    return cJSON_GetObjectItemCaseSensitive(module, "since") != NULL;
}

/* IT's modules behind the release's, under this version; false when out of memory. */
static bool compose(cJSON *release, const cJSON *active, uint32_t version)
{
    cJSON *modules = cJSON_GetObjectItemCaseSensitive(release, "modules");
    cJSON *number = cJSON_GetObjectItemCaseSensitive(release, "version");
    const cJSON *module = NULL;

    /* In place: a replacement whose name memory did not suffice for would be no failure. */
    (void)cJSON_SetNumberValue(number, version);
    cJSON_ArrayForEach(module, cJSON_GetObjectItemCaseSensitive(active, "modules"))
    {
        cJSON *copy = is_added_by_it(module) ? cJSON_Duplicate(module, true) : NULL;
        if (is_added_by_it(module) && !cJSON_AddItemToArray(modules, copy)) {
            cJSON_Delete(copy);
            return false;
        }
    }
    return true;
}

/* The catalogue that would be in use, printed; NULL when out of memory. */
static char *composed_text(fb_text builtin, const cJSON *active, uint32_t version)
{
    cJSON *release = cJSON_ParseWithLength(builtin.data, builtin.size);
    char *text = NULL;

    if (release != NULL && compose(release, active, version)) {
        text = cJSON_PrintUnformatted(release);
    }
    cJSON_Delete(release);
    return text;
}

static fb_code prove_and_put(const catalog *active, const char *text, buf *out, fb_error *err)
{
    catalog *next = NULL;
    FB_TRY(catalog_load(text_of(text), &next, err));
    fb_code rc = catalog_extends(active, next, err);
    rc = rc == FB_OK ? catalog_rows_fit(active, next, err) : rc;
    catalog_free(next);
    FB_TRY(rc);
    buf_put_str(out, text);
    return out->code;
}

fb_code catalog_release(const catalog *active, fb_text builtin, buf *text_out, bool *changed_out,
                        fb_error *err)
{
    FB_REQUIRE(active != NULL && text_out != NULL && changed_out != NULL);
    fb_code rc = FB_E_NO_MEMORY;
    cJSON *parsed = cJSON_ParseWithLength(active->text.data, active->text.size);
    char *now = cJSON_PrintUnformatted(parsed);
    char *same = composed_text(builtin, parsed, active->version);
    char *next = composed_text(builtin, parsed, active->version + 1U);

    *changed_out = false;
    if (parsed == NULL || now == NULL || same == NULL || next == NULL) {
        rc = fail(err, rc, "", "out of memory: free memory and retry");
    } else if (strcmp(now, same) == 0) {
        rc = FB_OK;
    } else {
        rc = prove_and_put(active, next, text_out, err);
        *changed_out = rc == FB_OK;
    }
    cJSON_free(next);
    cJSON_free(same);
    cJSON_free(now);
    cJSON_Delete(parsed);
    return rc;
}
