/* HTTP Message Signatures: the examples of RFC 9421, the base of each kind of component, and what is refused. */
#include "tests/unit/signatures.h"

#include <stdio.h>

#include "worker/codec/signature.h"
#include "worker/codec/structured.h"

enum { HMAC, ED25519, P256, P384, PSS, V1_5 };

static struct arena *arena;

static const struct signature_key *key_of(int algorithm, const char *text, bool sign)
{
    const char *why = NULL;
    const struct signature_key *key = signature_key_new(arena, algorithm, str_of(text), sign, &why);
    if (!key)
        fail_msg("%s", why);
    return key;
}

static const struct signature_key *shared_key(void)
{
    unsigned char secret[64];
    const char *why = NULL;
    ptrdiff_t length = structured_bytes(STR(SHARED_SECRET), secret, sizeof secret);
    assert_int_equal(length, 64);
    return signature_key_new(arena, HMAC, (struct str){(char *)secret, 64}, false, &why);
}

/* The base, or why there is none, after the name of the component that it is for want of. */
static const char *base_of(const struct signature_message *message, const char *text)
{
    static char memory[4096];
    struct buf out = buf_on(memory, sizeof memory - 1);
    struct signature_input input;
    struct str component;
    const char *why = signature_input_parse(str_of(text), &input);
    if (why)
        return why;
    why = signature_base(&input, message, &out, &component);
    if (why) {
        snprintf(memory, sizeof memory, "%.*s %s", STR_ARG(component), why);
        return memory;
    }
    memory[out.length] = '\0';
    return memory;
}

static const char *base(const char *text)
{
    struct signature_message message = example_message();
    return base_of(&message, text);
}

static bool verifies(const struct signature_key *key, const char *text, const char *signature)
{
    unsigned char bytes[SIGNATURE_MAX];
    ptrdiff_t length = structured_bytes(str_of(signature), bytes, sizeof bytes);
    assert_true(length > 0);
    return signature_verify(key, str_of(text), bytes, (size_t)length);
}

/* --- appendix B.2 --- */

#define DIGEST_LINE        \
    "\"content-digest\": " \
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\n"

#define B21 "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\""
#define B22                                                                                              \
    "(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473;keyid=\"test-" \
    "key-rsa-pss\";tag=\"header-example\""
#define B23                                                                                          \
    "(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" " \
    "\"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\""
#define B25 "(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
#define B26                                                            \
    "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" " \
    "\"content-length\");created=1618884473;"                          \
    "keyid=\"test-key-ed25519\""

static void test_rsa_pss(void **state)
{
    const struct signature_key *key = key_of(PSS, RSA_PSS_PUBLIC, false);
    (void)state;
    assert_string_equal(base(B21), "\"@signature-params\": " B21);
    assert_true(verifies(
        key, base(B21),
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7z"
        "FZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKh"
        "O4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gC"
        "w1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q=="));
    assert_string_equal(base(B22), "\"@authority\": example.com\n" DIGEST_LINE
                                   "\"@query-param\";name=\"Pet\": dog\n\"@signature-params\": " B22);
    assert_true(verifies(
        key, base(B22),
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8U"
        "CMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8N"
        "V7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs"
        "0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw=="));
    assert_string_equal(base(B23),
                        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n"
                        "\"@query\": ?param=Value&Pet=dog\n\"@authority\": example.com\n"
                        "\"content-type\": application/json\n" DIGEST_LINE
                        "\"content-length\": 18\n\"@signature-params\": " B23);
    const char *signature = "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/"
                            "5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fU"
                            "xN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/"
                            "aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA"
                            "1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+"
                            "QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKE"
                            "gM4cUA==";
    assert_true(verifies(key, base(B23), signature));
    assert_false(verifies(key, base(B22), signature));
    assert_false(verifies(key_of(V1_5, RSA_PSS_PUBLIC, false), base(B23), signature));
}

/* Of an answer, whose base is given (B.2.4); and of a request behind a proxy (B.3). */
static void test_ecdsa(void **state)
{
    const struct signature_key *key = key_of(P256, ECC_P256_PUBLIC, false);
    const char *text =
        "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": "
        "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n"
        "\"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" "
        "\"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    const char *signature =
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
    unsigned char bytes[SIGNATURE_MAX] = {0};
    (void)state;
    assert_true(verifies(key, text, signature));
    assert_false(verifies(key, "other", signature));
    /* None of these is a signature of anything: zeros, one number of two, one too long. */
    assert_false(signature_verify(key, str_of(text), bytes, 64));
    bytes[31] = 1;
    assert_false(signature_verify(key, str_of(text), bytes, 64));
    assert_int_equal(structured_bytes(str_of(signature), bytes, sizeof bytes), 64);
    assert_true(signature_verify(key, str_of(text), bytes, 64));
    assert_false(signature_verify(key, str_of(text), bytes, 63));
    assert_false(signature_verify(key, str_of(text), bytes, 65));
    assert_false(signature_verify(key, str_of(text), bytes, 0));
    size_t length = signature_sign(key_of(P256, ECC_P256_PRIVATE, true), str_of(text), bytes);
    assert_int_equal(length, 64);
    assert_true(signature_verify(key, str_of(text), bytes, length));
}

static void test_hmac(void **state)
{
    const struct signature_key *key = shared_key();
    const char *signature = "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=";
    unsigned char made[SIGNATURE_MAX], bytes[64];
    (void)state;
    assert_string_equal(base(B25), "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n"
                                   "\"content-type\": application/json\n\"@signature-params\": " B25);
    assert_true(verifies(key, base(B25), signature));
    assert_int_equal(signature_sign(key, str_of(base(B25)), made), 32);
    assert_int_equal(structured_bytes(str_of(signature), bytes, sizeof bytes), 32);
    assert_memory_equal(made, bytes, 32);
    assert_false(signature_verify(key, str_of(base(B25)), bytes, 31)); /* cut short */
    bytes[31] ^= 1;
    assert_false(signature_verify(key, str_of(base(B25)), bytes, 32));
}

static void test_ed25519(void **state)
{
    const char *signature =
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    unsigned char made[SIGNATURE_MAX], bytes[64];
    (void)state;
    assert_string_equal(
        base(B26), "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n"
                   "\"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n"
                   "\"@signature-params\": " B26);
    assert_true(verifies(key_of(ED25519, ED25519_PUBLIC, false), base(B26), signature));
    assert_int_equal(signature_sign(key_of(ED25519, ED25519_PRIVATE, true), str_of(base(B26)), made), 64);
    assert_int_equal(structured_bytes(str_of(signature), bytes, sizeof bytes), 64);
    assert_memory_equal(made, bytes, 64);
}

/* --- components --- */

/* The first line of the base. */
static void check_line(const char *component, const char *line)
{
    char text[512], wanted[1536];
    struct signature_message message = example_message();
    message.authority = STR("EXAMPLE.com:443");
    message.query = STR("param=value&baz=batman&qux=&a%2Bb=c+d&var=this%20is%20a%20big%0Amultiline%20value&"
                        "bar=with+plus+whitespace"
                        "&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&bad=%zz");
    snprintf(text, sizeof text, "(%s);created=1", component);
    snprintf(wanted, sizeof wanted, "%s\n\"@signature-params\": %s", line, text);
    const char *got = base_of(&message, text);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s: %s", component, got);
}

static void test_components(void **state)
{
    static const char *const rows[][2] = {
        {"\"@method\"", "\"@method\": POST"},
        {"\"@authority\"", "\"@authority\": example.com"},
        {"\"@scheme\"", "\"@scheme\": https"},
        {"\"@path\"", "\"@path\": /foo"},
        {"\"host\"", "\"host\": example.com"},
        {"\"x-list\"", "\"x-list\": one, two, three"},
        {"\"x-empty\"", "\"x-empty\": "},
        {"\"x-list\";bs", "\"x-list\";bs: :b25l:, :dHdvLCB0aHJlZQ==:"},
        {"\"example-dict\";key=\"a\"", "\"example-dict\";key=\"a\": 1"},
        {"\"example-dict\";key=\"b\"", "\"example-dict\";key=\"b\": 2;x=1;y=2"},
        {"\"example-dict\";key=\"c\"", "\"example-dict\";key=\"c\": (a b c)"},
        {"\"example-dict\";key=\"d\"", "\"example-dict\";key=\"d\": ?1"},
        {"\"@query-param\";name=\"baz\"", "\"@query-param\";name=\"baz\": batman"},
        {"\"@query-param\";name=\"qux\"", "\"@query-param\";name=\"qux\": "},
        {"\"@query-param\";name=\"a%2Bb\"", "\"@query-param\";name=\"a%2Bb\": c%20d"},
        {"\"@query-param\";name=\"var\"",
         "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value"},
        {"\"@query-param\";name=\"bar\"", "\"@query-param\";name=\"bar\": with%20plus%20whitespace"},
        {"\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"",
         "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something"},
    };
    struct signature_message message = example_message();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_line(rows[i][0], rows[i][1]);
    assert_string_equal(base("(\"@target-uri\" \"@request-target\" \"@query\")"),
                        "\"@target-uri\": https://example.com/foo?param=Value&Pet=dog\n"
                        "\"@request-target\": /foo?param=Value&Pet=dog\n\"@query\": ?param=Value&Pet=dog\n"
                        "\"@signature-params\": (\"@target-uri\" \"@request-target\" \"@query\")");
    message.query = (struct str){NULL, 0};
    message.path = STR("");
    assert_string_equal(base_of(&message, "(\"@request-target\" \"@query\" \"@path\")"),
                        "\"@request-target\": /\n\"@query\": ?\n\"@path\": /\n"
                        "\"@signature-params\": (\"@request-target\" \"@query\" \"@path\")");
    /* However it is written, it is signed in its canonical form. */
    assert_string_equal(base("(  \"@method\"   \"host\" ); created=01;  keyid=\"k\""),
                        "\"@method\": POST\n\"host\": example.com\n"
                        "\"@signature-params\": (\"@method\" \"host\");created=1;keyid=\"k\"");
}

static void test_refused(void **state)
{
    static const char *const rows[][2] = {
        {"", "isn't a list"},
        {"\"@method\"", "isn't a list"},
        {"(\"@method\"", "isn't a list"},
        {"(@method)", "isn't a list"},
        {"(token)", "isn't a list"},
        {"(\"@method\") x", "isn't a list"},
        {"(\"@method\");created=1;created=2", "isn't a list"},
        {"(\"@method\");created=\"1\"", "number of seconds"},
        {"(\"@method\");created=-1", "number of seconds"},
        {"(\"@method\");expires=1.5", "number of seconds"},
        {"(\"@method\");keyid=k", "isn't a string"},
        {"(\"@method\");alg=1", "isn't a string"},
        {"(\"@Method\")", "lower case"},
        {"(\"\")", "without a name"},
        {"(\"@method\" \"@method\")", "twice"},
        {"(\"x-list\";bs;key=\"a\")", "both"},
        {"(\"x-list\";bs;sf)", "both"},
        {"(\"x-list\";req)", "req"},
        {"(\"x-list\";tr)", "tr"},
        {"(\"x-list\";sf=?0)", "nobody knows"},
        {"(\"x-list\";other)", "nobody knows"},
        {"(\"@query-param\";key=\"a\")", "nobody knows"},
        {"(\"x-none\")", "x-none is not in the request"},
        {"(\"x-none\";key=\"a\")", "x-none is not in the request"},
        {"(\"x-list\";sf)", "x-list is no field that is known"},
        {"(\"x-list\";key=\"four\")", "x-list has no member"},
        {"(\"content-type\";key=\"a\")", "content-type has no member"},
        {"(\"@query-param\")", "@query-param has no name"},
        {"(\"@query-param\";name=\"none\")", "@query-param is not in the query"},
        {"(\"@status\")", "@status is an answer's"},
        {"(\"@signature-params\")", "@signature-params is not known"},
        {"(\"@method\";key=\"a\")", "@method has a parameter"},
        {"(\"@unknown\")", "@unknown is not known"},
    };
    struct signature_message message = example_message();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = base(rows[i][0]);
        if (!strstr(got, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], got);
    }
    message.query = STR("a=1&a=2&b=%zz");
    assert_non_null(strstr(base_of(&message, "(\"@query-param\";name=\"a\")"), "twice"));
    assert_non_null(strstr(base_of(&message, "(\"@query-param\";name=\"b\")"), "decoded"));
}

static void test_covers(void **state)
{
    struct signature_input input;
    (void)state;
    assert_null(signature_input_parse(
        STR("(\"@target-uri\" \"content-digest\";key=\"sha-256\" \"date\");expires=5"), &input));
    assert_int_equal(input.created, -1);
    assert_int_equal(input.expires, 5);
    assert_true(signature_covers(&input, STR("@path")));
    assert_true(signature_covers(&input, STR("@query")));
    assert_true(signature_covers(&input, STR("@authority")));
    assert_true(signature_covers(&input, STR("@target-uri")));
    assert_true(signature_covers(&input, STR("date")));
    assert_false(signature_covers(&input, STR("@method")));
    assert_false(signature_covers(&input, STR("content-digest"))); /* a member alone */
}

static void test_keys(void **state)
{
    const char *why = NULL;
    (void)state;
    assert_null(signature_key_new(arena, ED25519, STR("x"), false, &why));
    assert_string_equal(why, "is not a public key in PEM (BEGIN PUBLIC KEY)");
    assert_null(signature_key_new(arena, ED25519, STR(ED25519_PUBLIC), true, &why));
    assert_string_equal(why, "is not a private key in PEM, without a passphrase");
    assert_null(signature_key_new(arena, ED25519, STR(ECC_P256_PUBLIC), false, &why));
    assert_string_equal(why, "is not what ed25519 needs: an Ed25519 key");
    assert_null(signature_key_new(arena, P384, STR(ECC_P256_PUBLIC), false, &why));
    assert_null(signature_key_new(arena, PSS, STR(ECC_P256_PUBLIC), false, &why));
    assert_true(signature_key_is(key_of(PSS, RSA_PSS_PUBLIC, false), STR("rsa-pss-sha512")));
    assert_false(signature_key_is(key_of(PSS, RSA_PSS_PUBLIC, false), STR("hmac-sha256")));
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa_pss), cmocka_unit_test(test_ecdsa),      cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_ed25519), cmocka_unit_test(test_components), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_covers),  cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
