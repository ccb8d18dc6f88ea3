/* tokens: what was found out of credentials that were good (a token's claims, whose password it is, what another service
 * said of it), so that no worker finds it out again before it ends.
 *
 * A credential is known by a SHA-256 digest of all that the finding followed from: the credential, the scheme, and the
 * keys or the table that it was checked with. So a finding can't be met by another credential, and none outlives a change
 * of the keys. Only what was good is kept: a credential that is refused costs its sender, and nobody's place.
 *
 * The table is bounded. A new finding takes the place of one that is over, or else of the one that was asked for longest ago,
 * among the few that share its place. Readers take no lock, and never wait: what is being written is not found.
 */
#ifndef SHM_TOKENS_H
#define SHM_TOKENS_H

#include "shared/base/str.h"
#include "shared/shm/lock.h"
#include "shared/shm/segment.h"

/* Bytes: of a digest, and of what can be kept of one credential. */
enum { TOKEN_DIGEST = 32, TOKEN_TEXT = 960 };

struct tokens; /* the zone */
extern const struct zone_kind tokens_kind;

/* True: what was kept, whole, is in `text` (TOKEN_TEXT bytes), and its length. `now`: seconds of the wall clock. */
bool tokens_find(struct tokens *tokens, const uint8_t digest[TOKEN_DIGEST], uint64_t now, char *text,
                 size_t *length);

/* Keeps a text until `ends`, in seconds of the wall clock, in place of what was kept of the same. False: it is longer than
 * TOKEN_TEXT, or over already, or another process was at the same place and not done: nothing is lost but time. */
bool tokens_keep(struct tokens *tokens, const struct lock_caller *caller, const uint8_t digest[TOKEN_DIGEST],
                 uint64_t now, uint64_t ends, struct str text);

#endif
