/* content_digest: whether a request's body is what its Content-Digest says (RFC 9530). */
#include "worker/request/content_digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "worker/codec/structured.h"
#include "worker/request/request.h"

enum { FIELD_MAX = 2048, DIGEST_MAX = 64 };

/* Those that are worth something (section 5), the strongest first. */
static const struct {
    struct str name;
    const EVP_MD *(*digest)(void);
    size_t length;
} algorithms[] = {
    {{"sha-512", 7}, EVP_sha512, 64},
    {{"sha-256", 7}, EVP_sha256, 32},
};

struct checking {
    EVP_MD_CTX *digest;
    unsigned char wanted[DIGEST_MAX];
    size_t length;
    bool held; /* a byte of the body is: */
    char byte;
    char *room; /* for that byte and the piece behind it */
    size_t size;
};

static void free_digest(void *digest)
{
    EVP_MD_CTX_free(digest);
}

static bool is_right(struct checking *checking)
{
    unsigned char made[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    return EVP_DigestFinal_ex(checking->digest, made, &length) == 1 && length == checking->length &&
           CRYPTO_memcmp(made, checking->wanted, length) == 0;
}

static enum verdict fail(struct request *request)
{
    return request_fail(request, PROBLEM_DIGEST_MISMATCH, "the body is not what Content-Digest says");
}

/* --- the body --- */

/* The byte that was held, and all of the piece but, unless it is the last, its own last byte. */
static struct str shift(struct request *request, struct checking *checking, const char *data, size_t length,
                        bool last)
{
    if (length + 1 > checking->size) {
        checking->size = 2 * (length + 1);
        checking->room = arena_alloc(request->arena, checking->size);
    }
    struct buf out = buf_on(checking->room, checking->size);
    if (checking->held && (length || last))
        buf_char(&out, checking->byte);
    size_t kept = !last && length;
    buf_add(&out, data, length - kept);
    if (kept)
        checking->byte = data[length - 1];
    checking->held = kept || (checking->held && !length && !last);
    return buf_str(&out);
}

static void on_body(struct request *request, const char *data, size_t length, bool last)
{
    struct checking *checking = request->filter_state;
    EVP_DigestUpdate(checking->digest, data, length);
    if (last && !is_right(checking)) {
        fail(request);
        request_body_failed(request);
        return;
    }
    struct str piece = shift(request, checking, data, length, last);
    if (piece.length || last)
        request_deliver(request, piece.data, piece.length, last);
}

static void write_piece(struct request *request, const char *data, size_t length, bool last)
{
    request->exchange->ops->write(request->exchange, data, length, last);
}

static void write_trailers(struct request *request, const struct fields *trailers)
{
    request->exchange->ops->trailers(request->exchange, trailers);
}

static const struct request_filter filter = {
    .on_body = on_body, .write = write_piece, .trailers = write_trailers};

/* --- the field --- */

/* All lines of it, as one. False: too long. */
static bool join(const struct fields *fields, struct buf *out)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_OTHER && str_case_eq(fields->items[i].name, STR("Content-Digest"))) {
            buf_str_add(out, out->length ? STR(", ") : STR(""));
            buf_str_add(out, fields->items[i].value);
        }
    return !out->overflow;
}

/* What is wrong with the field, in words; NULL: nothing, and `checking` is ready. */
static const char *read_field(struct request *request, struct str text, struct checking *checking)
{
    struct structured bytes;
    if (!structured_canonical_dictionary(text, NULL))
        return "is not a dictionary of digests";
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        struct str value = structured_find(text, algorithms[i].name);
        if (!value.length)
            continue;
        if (!structured_item(&value, &bytes) || bytes.type != STRUCTURED_BYTES ||
            structured_bytes(bytes.text, checking->wanted, DIGEST_MAX) != (ptrdiff_t)algorithms[i].length)
            return "has a digest of the wrong form";
        checking->length = algorithms[i].length;
        checking->digest = EVP_MD_CTX_new();
        if (!checking->digest || EVP_DigestInit_ex(checking->digest, algorithms[i].digest(), NULL) != 1)
            abort(); /* out of memory */
        arena_on_free(request->arena, free_digest, checking->digest);
        return NULL;
    }
    return "has neither sha-512 nor sha-256";
}

enum verdict content_digest_check(struct request *request)
{
    char memory[FIELD_MAX];
    struct buf text = buf_on(memory, sizeof memory);
    if (!fields_find(&request->head->fields, STR("Content-Digest")))
        return VERDICT_NEXT;
    if (request->filter == &filter) /* it is checked already */
        return VERDICT_NEXT;
    if (request->filter)
        return request_fail(request, PROBLEM_NOT_IMPLEMENTED,
                            "a body that is translated from gRPC-Web can't be checked by Content-Digest");
    struct checking *checking = arena_zalloc(request->arena, sizeof *checking);
    const char *why =
        join(&request->head->fields, &text) ? read_field(request, buf_str(&text), checking) : "is too long";
    if (why)
        return request_fail(request, PROBLEM_BAD_REQUEST, "Content-Digest %s", why);
    if (request->exchange->body_done)
        return is_right(checking) ? VERDICT_NEXT : fail(request);
    request->filter = &filter;
    request->filter_state = checking;
    return VERDICT_NEXT;
}
