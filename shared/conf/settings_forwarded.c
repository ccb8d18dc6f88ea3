/* settings_forwarded: what upstreams are told of where a request came from. */
#include "shared/base/token.h"
#include "shared/conf/sections.h"

/* RFC 9110, section 7.6.3: a token, or a host with its port. */
static bool pseudonym_is_good(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!token_has(*c) && *c != ':')
            return false;
    return *text != '\0';
}

static void forwarded_check(struct conf_loader *loader, void *structure)
{
    static const char *const versions[] = {[VIA_10] = "1.0", [VIA_11] = "1.1", [VIA_20] = "2"};
    struct forwarded_settings *forwarded = structure;
    if (!pseudonym_is_good(forwarded->pseudonym))
        conf_error(loader, forwarded->origin, "pseudonym",
                   "\"%s\" can't stand in Via (write a word, or a host with its port)", forwarded->pseudonym);
    forwarded->name = str_of(forwarded->pseudonym);
    for (unsigned i = 0; i < sizeof(versions) / sizeof(*versions); i++)
        forwarded->via_of[i] =
            str_of(arena_printf(conf_arena(loader), "%s %s", versions[i], forwarded->pseudonym));
}

#define FORWARDED(kind_, member, ...) ROW_(kind_, struct forwarded_settings, member, __VA_ARGS__)

static const struct row forwarded_rows[] = {
    FORWARDED(ROW_FLAG, x_forwarded, .fallback = "true",
              .help = "send X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host"),
    FORWARDED(ROW_FLAG, forwarded, .fallback = "false", .help = "send Forwarded (RFC 7239)"),
    FORWARDED(ROW_FLAG, via, .fallback = "true", .help = "send Via (RFC 9110), both ways"),
    FORWARDED(ROW_STRING, pseudonym, .fallback = "gatehouse", .help = "the name of this gateway in Via"),
    FORWARDED(ROW_NUMBER, max_hops, .fallback = "8", .min = 0, .max = 255,
              .help = "a request whose Via has that name more often runs in a circle and is answered by 508; "
                      "0: none is"),
    ROW_END,
};

const struct section forwarded_section = {
    .name = "forwarded",
    .size = sizeof(struct forwarded_settings),
    .rows = forwarded_rows,
    .check = forwarded_check,
};
