/* row_words.c - the messages of the row rules, in English and Chinese, with the cure. */
#include <string.h>

#include "base/check.h"
#include "rules/row_rule.h"

enum { MORE_MAX = 5, NAMES = 4 };

#define COLUMN "{1}.{2}"

/* clang-format off */
static const issue_words WORDS[] = {
    [ROW_MAY_NOT] = {FB_E_FORBIDDEN, "{1}",
        "your role may not {5} {1}", "您的角色无权{5}“{4}”",
        "ask somebody who has this right, or your administrator", "请联系有此权限的同事或管理员"},
    [ROW_NOT_ON_DEVICES] = {FB_E_FORBIDDEN, "{1}",
        "devices may not {5} {1}: it is kept by the office", "移动端不可{5}“{4}”，由后台维护",
        "ask the office to change it", "请联系后台修改"},
    [ROW_NO_ID] = {FB_E_REQUIRED, "{1}.id",
        "the record has no id", "记录缺少编号",
        "make a new id for it", "请为其生成新编号"},
    [ROW_OWN_COLUMN] = {FB_E_FORBIDDEN, COLUMN,
        "{2} is set by the system and never changes by hand", "{2}由系统维护，不可修改",
        "leave it out", "请勿提交该项"},
    [ROW_TWICE] = {FB_E_INVALID, COLUMN,
        "{3} is changed twice in one step", "“{3}”在一次修改中出现两次",
        "send each column once", "每个字段只提交一次"},
    [ROW_DERIVED] = {FB_E_FORBIDDEN, COLUMN,
        "{3} is computed and cannot be entered", "“{3}”由系统计算，不可填写",
        "leave it out", "请勿提交该项"},
    [ROW_GUARDED] = {FB_E_GUARDED, COLUMN,
        "{3} changes only after approval", "“{3}”须经审核后修改",
        "send a change request", "请提交变更申请"},
    [ROW_SERVER_ONLY] = {FB_E_FORBIDDEN, COLUMN,
        "{3} is kept by the office", "“{3}”由后台维护",
        "ask the office to change it", "请联系后台修改"},
    [ROW_FIXED] = {FB_E_FORBIDDEN, COLUMN,
        "{3} is fixed once the record is made", "“{3}”在记录建立后不可修改",
        "make a new record that corrects this one", "请新建更正记录"},
    [ROW_SEALED] = {FB_E_STATE, COLUMN,
        "{3} is fixed: the record has left the state {5}", "“{3}”不可修改：记录已离开状态{5}",
        "cancel it and make a new one, or ask your manager", "请取消后重新建立，或联系经理"},
    [ROW_SEALED_DELETE] = {FB_E_STATE, "{1}",
        "it cannot be deleted: it has left the state {5}", "不可删除：记录已离开状态{5}",
        "cancel it instead", "请改为取消"},
    [ROW_REQUIRED] = {FB_E_REQUIRED, COLUMN,
        "{3} is missing", "缺少“{3}”",
        "fill in {3}", "请填写“{3}”"},
    [ROW_VALUE] = {FB_E_INVALID, COLUMN,
        "{3}: {5}", "“{3}”：{5}",
        "correct the value", "请更正"},
    [ROW_LENGTH] = {FB_E_LENGTH, COLUMN,
        "{3} is too long: {5} bytes of at most {6}", "“{3}”过长：{5}字节，最多{6}字节",
        "shorten it (a Chinese character takes 3 bytes)", "请缩短（每个汉字占3字节）"},
    [ROW_RANGE] = {FB_E_RANGE, COLUMN,
        "{3}: {5} is not between {6} and {7}", "“{3}”：{5}不在{6}至{7}之间",
        "enter a number from {6} to {7}", "请填写{6}至{7}之间的数"},
    [ROW_ENUM] = {FB_E_ENUM, COLUMN,
        "{3}: not one of the allowed values", "“{3}”：取值不在允许范围内",
        "choose one of: {5}", "请选择：{5}"},
    [ROW_PHONE] = {FB_E_FORMAT, COLUMN,
        "{3} is not a telephone number", "“{3}”不是有效的电话号码",
        "enter 3 to 15 digits, with + and the country code for other countries", "请填写3至15位数字，国外号码以+和国家代码开头"},
    [ROW_EMAIL] = {FB_E_FORMAT, COLUMN,
        "{3} is not an e-mail address", "“{3}”不是有效的邮箱地址",
        "enter it like name@company.com", "请按name@company.com的格式填写"},
    [ROW_USC] = {FB_E_FORMAT, COLUMN,
        "{3} is not a valid unified social credit code: its check character does not fit", "“{3}”不是有效的统一社会信用代码，校验位不符",
        "compare its 18 characters with the licence", "请与营业执照核对18位代码"},
    [ROW_GTIN] = {FB_E_FORMAT, COLUMN,
        "{3} is not a valid bar code: its check digit does not fit", "“{3}”不是有效的条码，校验位不符",
        "scan it again, or compare its 8, 12, 13 or 14 digits", "请重新扫描，或核对8、12、13或14位数字"},
    [ROW_DEGREES] = {FB_E_RANGE, COLUMN,
        "{3}: {5} degrees is not between -{6} and {6}", "“{3}”：{5}度不在-{6}至{6}之间",
        "take the position again; check that latitude and longitude are not exchanged", "请重新定位，并检查经纬度是否颠倒"},
    [ROW_FUTURE] = {FB_E_FUTURE, COLUMN,
        "{3} lies {5} minutes in the future", "“{3}”比当前时间晚{5}分钟",
        "check the clock of the device", "请检查设备时钟"},
    [ROW_DATES] = {FB_E_INVALID, COLUMN,
        "{3} lies before {5}", "“{3}”早于“{5}”",
        "exchange the two, or correct one", "请对调或更正"},
    [ROW_INITIAL] = {FB_E_STATE, COLUMN,
        "a new record cannot start as {5}", "新记录的状态不能为{5}",
        "start it as: {6}", "初始状态可为：{6}"},
    [ROW_STEP] = {FB_E_STATE, COLUMN,
        "{5} cannot become {6}", "状态{5}不能变为{6}",
        "from {5} it may become: {7}", "{5}可变为：{7}"},
    [ROW_STEP_LAST] = {FB_E_STATE, COLUMN,
        "{5} cannot become {6}: {5} is final", "状态{5}不能变为{6}：{5}为终态",
        "make a new record", "请新建记录"},
    [ROW_STEP_SERVER] = {FB_E_STATE, COLUMN,
        "the step from {5} to {6} is not taken on a device", "从{5}到{6}的步骤不在移动端进行",
        "synchronise and wait for the office", "请同步并等待后台处理"},
    [ROW_STEP_ROLE] = {FB_E_FORBIDDEN, COLUMN,
        "the step from {5} to {6} needs one of the roles {7}", "从{5}到{6}需要角色：{7}",
        "ask somebody with such a role", "请联系有此角色的同事"},
    [ROW_STEP_REQUIRES] = {FB_E_REQUIRED, COLUMN,
        "{3} is missing for the step to {6}", "变为{6}前须填写“{3}”",
        "fill in {3} first", "请先填写“{3}”"},
};
/* clang-format on */

/* The label, or the name where the catalogue gives none. */
static fb_text label_of(fb_text label, fb_text name)
{
    return label.size > 0 ? label : name;
}

fb_code row_say(const row_case *c, row_word w, int column, const issue_arg *more, size_t count)
{
    FB_ASSERT(count <= MORE_MAX && column < (int)c->e->columns_count);
    const cat_column *col = column >= 0 ? &c->e->columns[column] : NULL;
    fb_text none = {NULL, 0};
    issue_arg args[NAMES + MORE_MAX] = {
        issue_code(c->e->name),
        issue_code(col != NULL ? col->name : none),
        {col != NULL ? label_of(col->label_en, col->name) : none,
         col != NULL ? label_of(col->label_zh, col->name) : none},
        {label_of(c->e->label_en, c->e->name), label_of(c->e->label_zh, c->e->name)},
    };
    for (size_t i = 0; i < count; i++) {
        args[NAMES + i] = more[i];
    }
    return issue_fill(c->out, &WORDS[w], args, NAMES + count);
}

fb_text row_list(char *room, size_t size, const fb_text *items, size_t count)
{
    enum { SEPARATOR = 2, CUT = 4 };
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = i > 0 ? SEPARATOR : 0;
        if (items[i].size + before + CUT > size - used) {
            memcpy(room + used, " ...", CUT);
            return (fb_text){room, used + CUT};
        }
        memcpy(room + used, ", ", before);
        memcpy(room + used + before, items[i].data, items[i].size);
        used += before + items[i].size;
    }
    return count > 0 ? (fb_text){room, used} : text_of("-");
}
