/* table: all policies, from policies.def. */
#include "worker/policy/table.h"

#define POLICY(name) extern const struct policy policy_##name;
#include "worker/policy/policies.def"
#undef POLICY

const struct policy *const policy_table[] = {
#define POLICY(name) &policy_##name,
#include "worker/policy/policies.def"
#undef POLICY
    NULL,
};

struct conf_extension policy_extensions[sizeof policy_table / sizeof policy_table[0]];

/* Follows from the policies; filled before main() and then only read. */
__attribute__((constructor)) static void fill_extensions(void)
{
    struct conf_extension *extension = policy_extensions;
    for (const struct policy *const *policy = policy_table; *policy; policy++)
        if ((*policy)->section)
            *extension++ =
                (struct conf_extension){(*policy)->name, (*policy)->section, (*policy)->list, (*policy)->help,
                                        *policy,         (*policy)->declared};
}
