/* test_museum.c - every version's files are opened by this one, and nothing in them is lost.
 *
 * For each exhibit (tests/museum): the server's and four devices' files as an earlier version left
 * them, with work pending, an answer lost, a download half way. This version opens them, migrates,
 * goes on, and must come to the numbers that the exhibit's own version came to. */
#include "support/museum.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/pack.h"

enum { WORLD_BYTES_MAX = 64 << 20, EXHIBIT_DEVICES = 4, EXHIBITS_MIN = 1 };
static const char EXHIBITS[] = FB_SOURCE_DIR "/tests/museum/exhibits";

static fleet f;

static void file_read(const char *folder, const char *name, buf *out)
{
    char path[1000];
    char block[4096];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s/%s", EXHIBITS, folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s is missing: an exhibit has world.zst and expect.txt", path);
    }
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        buf_put(out, block, n);
    }
    fclose(file);
    assert_int_equal(out->code, FB_OK);
}

/* "<word> <number>\n" at *at, which moves behind it. */
static void head_read(const buf *world, size_t *at, char *word, size_t word_size, int64_t *number)
{
    size_t used = 0;
    while (world->data[*at] != ' ') {
        assert_true(used + 1 < word_size);
        word[used++] = world->data[(*at)++];
    }
    word[used] = '\0';
    char *end = NULL;
    *number = strtoll(world->data + *at, &end, 10);
    assert_int_equal(*end, '\n');
    *at = (size_t)(end - world->data) + 1;
}

static void exhibit_open(const char *folder)
{
    buf packed, world;
    char word[200];
    int64_t now_ms = 0;
    int64_t size = 0;
    size_t at = 0;
    buf_init(&packed, WORLD_BYTES_MAX);
    buf_init(&world, WORLD_BYTES_MAX);
    file_read(folder, "world.zst", &packed);
    assert_int_equal(pack_get(&world, buf_text(&packed), WORLD_BYTES_MAX), FB_OK);
    crash_vfs *vfs = crash_vfs_new("fleetfs", 1);
    head_read(&world, &at, word, sizeof word, &now_ms);
    while (at < world.size) {
        head_read(&world, &at, word, sizeof word, &size);
        crash_vfs_put(vfs, word, world.data + at, (size_t)size);
        at += (size_t)size;
    }
    buf_clear(&packed);
    buf_clear(&world);
    fleet_go_on(&f, vfs, now_ms, EXHIBIT_DEVICES);
}

static void numbers_compare(const char *folder)
{
    buf text;
    buf_init(&text, 1 << 20);
    file_read(folder, "expect.txt", &text);
    int questions = 0;
    for (char *line = strtok((char *)buf_cstr(&text), "\n"); line != NULL;
         line = strtok(NULL, "\n")) {
        char *question = strchr(line, '\t');
        char *number = question == NULL ? NULL : strchr(question + 1, '\t');
        assert_non_null(number);
        *question++ = '\0';
        *number++ = '\0';
        int device = atoi(line);
        int64_t now = museum_answer(&f.devices[device], question);
        if (now != strtoll(number, NULL, 10)) {
            fail_msg("exhibit %s, device %d: '%s' was %s and is %lld", folder, device, question,
                     number, (long long)now);
        }
        questions++;
    }
    assert_true(questions > 0);
    buf_clear(&text);
}

static void exhibit_judge(const char *folder)
{
    fb_error err = {0};
    exhibit_open(folder);
    for (int i = 0; i < f.devices_count; i++) {
        fleet_must(fb_db_check(f.devices[i].db, &err), &err, "check before");
    }
    museum_finish(&f);
    for (int i = 0; i < f.devices_count; i++) {
        fleet_must(fb_db_check(f.devices[i].db, &err), &err, "check after");
    }
    numbers_compare(folder);
    fleet_close(&f);
}

static void museum__every_exhibit_goes_on_without_loss(void **state)
{
    (void)state;
    int exhibits = 0;
    DIR *folder = opendir(EXHIBITS);
    assert_non_null(folder);
    for (struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (e->d_name[0] != '.') {
            exhibit_judge(e->d_name);
            exhibits++;
        }
    }
    closedir(folder);
    assert_true(exhibits >= EXHIBITS_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(museum__every_exhibit_goes_on_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
