/* sections: the tables of the configuration's parts, for settings.c, which puts them together. */
#ifndef CONF_SECTIONS_H
#define CONF_SECTIONS_H

#include "shared/conf/settings.h"

extern const struct section resolver_section; /* settings_resolver.c */
extern const struct section shed_section;     /* settings_process.c */
extern const struct section state_section, log_section, admin_section,
    client_section;                                        /* settings_process.c */
extern const struct section forwarded_section;             /* settings_forwarded.c */
extern const struct section consumer_section;              /* settings_consumers.c */
extern const struct section listener_section;              /* settings_listener.c */
extern const struct section tls_section, tls_node_section; /* settings_tls.c */
extern const struct section upstream_section;              /* settings_upstream.c */
extern const struct section upstream_tls_section;          /* settings_upstream_tls.c */
extern const struct section key_set_section;               /* settings_key_set.c */
extern const struct section health_section, ejection_section, slow_start_section; /* settings_health.c */
extern const struct section breaker_section;                                      /* settings_breaker.c */
extern const struct section retry_section, hedge_section, adaptive_section;       /* settings_retry.c */
extern const struct section api_section, defaults_section;                        /* settings_api.c */
extern const struct section match_section;                                        /* settings_match.c */
extern const struct section version_section;                                      /* settings_version.c */

/* settings_match.c: an error if `path`, the value of `setting`, is not a path or the front of one. NULL is fine. */
void check_path(struct conf_loader *loader, struct origin origin, const char *setting, const char *path);

/* A name of an element of a list. */
struct unique {
    struct str text;
    unsigned index;
};

/* unique.c: an error at each of `count` names that an earlier element of `list` has. `list_name` is what the section
 * under check calls the list, `setting` where the name stands in an element. Sorts `names`. */
void unique_check(struct conf_loader *loader, struct unique *names, unsigned count,
                  const struct conf_list *list, const char *list_name, const char *setting);

#endif
