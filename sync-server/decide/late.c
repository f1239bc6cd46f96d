/* late.c - work whose author lost the right to do it before it arrived: judged by the rights at
 * capture, and then held, never dropped.
 *
 * The capture time is the device's, corrected, clamped to the time of receipt and to the commits of
 * the versions that the group names: what was seen later was not captured earlier. Whoever forges
 * it gains no more than a manager's question. A role that has a last day is known for every day;
 * one whose row was deleted is not. */
#include "sync-server/decide/decide_inside.h"

static const saying ROLE_ENDED = {
    FB_E_FORBIDDEN, "it was entered while your role allowed it, and came after that had ended",
    "录入时您的角色有此权限，但送达时该权限已终止", "your manager decides; nothing to do",
    "由经理决定，无需操作"};

fb_code late_captured_ms(decide *d, int64_t *out)
{
    *out = d->at_ms;
    for (uint32_t i = 0; i < d->g->ops_count; i++) {
        int64_t seen_ms = 0;
        if (d->g->ops[i].base_ver > 0) {
            FB_TRY(base_time(d, d->g->ops[i].base_ver, &seen_ms));
        }
        *out = seen_ms > *out ? seen_ms : *out;
    }
    return FB_OK;
}

bool late_is_asked(const decide *d)
{
    const verdict_msg *v = &d->out->verdict;
    return d->refused && v->code == VERDICT_REJECTED && v->error == FB_E_FORBIDDEN;
}

fb_code late_hold(decide *d)
{
    issue why;
    fb_text field = d->out->verdict.field;
    char room[96];
    size_t size = field.size < sizeof room ? field.size : sizeof room - 1;
    for (size_t i = 0; i < size; i++) {
        room[i] = field.data[i];
    }
    room[size] = '\0';
    (void)issue_set(&why, ROLE_ENDED.code, room, ROLE_ENDED.text_en, ROLE_ENDED.text_zh,
                    ROLE_ENDED.cure_en, ROLE_ENDED.cure_zh);
    return verdict_refuse(d, VERDICT_HELD, &why, "MGR");
}
