/* cache_control: called for the answers of issuers. */
#include "worker/codec/cache_control.h"

/* The end of a directive: the next comma that isn't inside a quoted string (RFC 9110, section 5.6.4). */
static size_t directive_end(struct str rest)
{
    bool quoted = false;
    for (size_t i = 0; i < rest.length; i++) {
        if (rest.data[i] == '\\' && quoted)
            i++;
        else if (rest.data[i] == '"')
            quoted = !quoted;
        else if (rest.data[i] == ',' && !quoted)
            return i;
    }
    return rest.length;
}

bool cache_control_next(struct str *rest, struct str *name, struct str *argument)
{
    while (rest->length) {
        size_t end = directive_end(*rest);
        struct str value = str_trim((struct str){rest->data, end});
        *rest = str_from(*rest, end + (end < rest->length));
        *name = str_trim(str_cut(&value, '='));
        *argument = value.data ? str_trim(value) : (struct str){NULL, 0};
        if (argument->length >= 2 && argument->data[0] == '"' && argument->data[argument->length - 1] == '"')
            *argument = (struct str){argument->data + 1, argument->length - 2};
        if (name->length)
            return true;
    }
    return false;
}

int64_t cache_control_fresh(struct str field, struct str age)
{
    enum { MOST = INT32_MAX }; /* RFC 9111, section 1.2.2 */
    struct str name, argument;
    int64_t fresh = CACHE_CONTROL_UNSAID;
    while (cache_control_next(&field, &name, &argument)) {
        uint64_t seconds = 0;
        if (str_case_eq(name, STR("no-store")) || str_case_eq(name, STR("no-cache")))
            return 0;
        if (!str_case_eq(name, STR("max-age")) || fresh != CACHE_CONTROL_UNSAID)
            continue;
        bool number = argument.length > 0;
        for (size_t i = 0; i < argument.length; i++)
            number &= argument.data[i] >= '0' && argument.data[i] <= '9';
        if (number && !str_to_u64(argument, MOST, &seconds))
            seconds = MOST; /* more than is counted */
        fresh = (int64_t)seconds;
    }
    uint64_t old = 0;
    if (fresh > 0 && str_to_u64(str_trim(age), MOST, &old))
        fresh = (int64_t)old < fresh ? fresh - (int64_t)old : 0;
    return fresh;
}
