/* Certificates and keys from files: what is right, what is wrong and how that is told, when they end, and their names. */
#include "tests/unit/certificates.h"
#include "tests/unit/conf.h"

#include "shared/base/clock.h"
#include "worker/net/tls_identity.h"

static struct certificate root, between, leaf, other;
static struct certificate_settings settings;
static struct tls_identity identity;

static int set_up(void **state)
{
    fixture_setup(state);
    root = certificate_make((struct wanted){.common_name = "root", .authority = true, .to = 3650});
    between = certificate_make(
        (struct wanted){.common_name = "between", .authority = true, .issuer = &root, .to = 900});
    leaf = certificate_make((struct wanted){.common_name = "leaf",
                                            .issuer = &between,
                                            .names = "DNS:a.example,DNS:*.B.example,IP:127.0.0.1",
                                            .usage = "serverAuth,clientAuth"});
    other = certificate_make((struct wanted){.common_name = "other"});
    certificate_write("leaf.pem", &leaf, &between, NULL);
    certificate_write_key("leaf.key", &leaf, NULL);
    certificate_write_key("other.key", &other, NULL);
    settings = (struct certificate_settings){
        .cert = "leaf.pem",
        .key = "leaf.key",
        .cert_at = {{"main.conf", 3}, "cert"},
        .key_at = {{"main.conf", 4}, "key"},
        .names_at = {{"main.conf", 5}, "names"},
    };
    return 0;
}

static int tear_down(void **state)
{
    certificate_free(&root);
    certificate_free(&between);
    certificate_free(&leaf);
    certificate_free(&other);
    return fixture_teardown(state);
}

static bool load(void)
{
    errors_init(&fixture.errors, fixture.error_arena);
    bool good = tls_identity_load(&identity, &settings, TLS_FOR_SERVER,
                                  (int64_t)(clock_wall_ns() / NS_PER_SECOND), fixture.arena, &fixture.errors);
    assert_int_equal(good, fixture.errors.count == 0);
    return good;
}

/* What is said when that is loaded. */
static const char *said(void)
{
    load();
    tls_identity_free(&identity);
    return errors_text(&fixture.errors, fixture.error_arena);
}

static void is_said(const char *text)
{
    const char *all = said();
    if (!strstr(all, text))
        fail_msg("\"%s\" is not in \"%s\"", text, all);
}

/* A certificate of one's own in wrong.pem with its key in wrong.key, in place of the right one. */
static void use(struct wanted wanted)
{
    struct certificate made = certificate_make(wanted);
    certificate_write("wrong.pem", &made, NULL, NULL);
    certificate_write_key("wrong.key", &made, NULL);
    certificate_free(&made);
    settings.cert = "wrong.pem";
    settings.key = "wrong.key";
}

static void test_right(void **state)
{
    (void)state;
    assert_true(load());
    assert_int_equal(fixture.errors.warnings, 0);
    assert_int_equal(identity.algorithm, TLS_ECDSA);
    assert_string_equal(identity.subject, "CN=leaf");
    assert_int_equal(identity.name_count, 2);
    assert_str(identity.names[0], "a.example");
    assert_str(identity.names[1], "*.b.example");
    assert_int_equal(sk_X509_num(identity.chain), 1);
    assert_int_equal(tls_identity_days(&identity, identity.ends - 60), 0);
    assert_int_equal(tls_identity_days(&identity, identity.ends - CERTIFICATE_DAY), 1);
    assert_int_equal(tls_identity_days(&identity, identity.ends + 1), -1);
    tls_identity_wipe(&identity);
    assert_null(identity.key);
    tls_identity_free(&identity);
    settings.key = "file:leaf.key";
    assert_true(load());
    tls_identity_free(&identity);
}

static void test_key_of_the_environment(void **state)
{
    (void)state;
    char text[4096] = "";
    FILE *file = fopen("leaf.key", "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    setenv("TEST_TLS_KEY", text, 1);
    settings.key = "env:TEST_TLS_KEY";
    assert_true(load());
    tls_identity_free(&identity);
    unsetenv("TEST_TLS_KEY");
    assert_string_equal(said(),
                        "main.conf:4: key: the variable TEST_TLS_KEY of the environment is not set\n");
}

static void test_all_kinds_of_keys(void **state)
{
    (void)state;
    use((struct wanted){.common_name = "rsa.example", .key = EVP_RSA_gen(2048)});
    assert_true(load());
    assert_int_equal(identity.algorithm, TLS_RSA);
    assert_int_equal(identity.name_count, 1); /* no other name: the common one */
    assert_str(identity.names[0], "rsa.example");
    tls_identity_free(&identity);
    use((struct wanted){.common_name = "e", .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")});
    assert_true(load());
    assert_int_equal(identity.algorithm, TLS_ED25519);
    tls_identity_free(&identity);
    use((struct wanted){.common_name = "e", .key = EVP_EC_gen("P-521")});
    assert_true(load());
    tls_identity_free(&identity);
}

static void test_files(void **state)
{
    (void)state;
    settings.cert = "none.pem";
    assert_string_equal(said(), "main.conf:3: cert: can't open none.pem: No such file or directory\n");
    settings.cert = ".";
    is_said("cert: . is not a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    settings.cert = "fifo"; /* nobody writes to it: it isn't waited for */
    is_said("cert: fifo is not a regular file");
    conf_file("empty", "");
    settings.cert = "empty";
    is_said("cert: empty is empty");
    conf_file("text", "hello\n");
    settings.cert = "text";
    is_said("cert: text has no certificate: there is no PEM in it");
    settings.cert = "leaf.key";
    is_said("cert: leaf.key has no certificate: it has a private key");
    conf_file_bytes("der", "\x30\x82\x01\x00", 4);
    settings.cert = "der";
    is_said("cert: der has no certificate: it looks like DER: convert it");
    conf_file("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    settings.cert = "broken";
    is_said("cert: broken: the certificate number 1 is damaged: ");
    settings.cert = "leaf.pem";
    settings.key = "leaf.pem";
    is_said("main.conf:4: key: leaf.pem has no private key: it has certificates");
    conf_file("broken", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    settings.key = "broken";
    is_said("key: the key in broken is damaged: ");
    certificate_write_key("secret.key", &leaf, "secret");
    settings.key = "secret.key";
    is_said("key: the key in secret.key is encrypted, and nobody can be asked for its passphrase");
}

static void test_what_does_not_belong_together(void **state)
{
    (void)state;
    settings.key = "other.key";
    assert_string_equal(said(), "main.conf:4: key: other.key is not the key of leaf.pem (CN=leaf)\n");
    settings.key = "leaf.key";
    certificate_write("leaf.pem", &between, &leaf, NULL);
    assert_string_equal(said(),
                        "main.conf:3: cert: leaf.pem: the key's certificate (CN=leaf) is number 2 in the "
                        "file; it must be the first\n");
    certificate_write("leaf.pem", &leaf, &root, &between);
    is_said("cert: leaf.pem: certificate number 2 (CN=root) is not the issuer of the one before it, which is "
            "CN=between (put them in order");
    certificate_write("leaf.pem", &leaf, &between, &root);
    assert_string_equal(said(), "");
    certificate_write("leaf.pem", &leaf, &between, &other);
    is_said("cert: leaf.pem: certificate number 3 (CN=other) is not the issuer");
}

static void test_weak(void **state)
{
    (void)state;
    use((struct wanted){.common_name = "a", .key = EVP_RSA_gen(1024)});
    is_said("cert: wrong.pem: an RSA key of 1024 bits is too weak (make one of 2048 bits, or ECDSA P-256)");
    use((struct wanted){.common_name = "a", .key = EVP_EC_gen("secp256k1")});
    is_said("cert: wrong.pem: the key's curve secp256k1 is not one of TLS 1.3");
    use((struct wanted){.common_name = "a", .issuer = &between, .hash = EVP_sha1()});
    is_said("cert: wrong.pem: CN=a is signed with SHA1, which clients refuse");
    use((struct wanted){.common_name = "a", .hash = EVP_sha1()}); /* nobody checks a root's */
    assert_string_equal(said(), "");
    use((struct wanted){.common_name = "a", .usage = "clientAuth"});
    is_said("cert: wrong.pem: CN=a is not for servers: its extendedKeyUsage lacks serverAuth");
}

static void test_time(void **state)
{
    (void)state;
    use((struct wanted){.common_name = "a", .from = -10, .to = 29});
    is_said("main.conf:3: warning: cert: wrong.pem: CN=a expires on ");
    is_said(", in 29 days (renew it, then reload)");
    use((struct wanted){.common_name = "a", .from = -10, .to = 31});
    assert_string_equal(said(), "");
    use((struct wanted){.common_name = "a", .from = -10, .to = -3});
    is_said("main.conf:3: warning: cert: wrong.pem: CN=a has expired on ");
    use((struct wanted){.common_name = "a", .from = 3, .to = 90});
    is_said("main.conf:3: warning: cert: wrong.pem: CN=a is not valid before ");
    struct certificate old = certificate_make(
        (struct wanted){.common_name = "old", .authority = true, .from = -90, .to = 5, .issuer = &root});
    struct certificate one = certificate_make((struct wanted){.common_name = "one", .issuer = &old});
    certificate_write("wrong.pem", &one, &old, NULL);
    certificate_write_key("wrong.key", &one, NULL);
    is_said("warning: cert: wrong.pem: CN=old expires on ");
    certificate_free(&old);
    certificate_free(&one);
}

static void test_names(void **state)
{
    (void)state;
    const char *some[] = {"X.b.example", "A.example"}, *not_its[] = {"c.example", "y.x.b.example"},
               *none[] = {"a b"};
    settings.names = (struct conf_strings){some, 2};
    assert_true(load());
    assert_int_equal(fixture.errors.warnings, 0);
    assert_int_equal(identity.name_count, 2);
    assert_str(identity.names[0], "x.b.example");
    tls_identity_free(&identity);
    settings.names = (struct conf_strings){not_its, 2};
    assert_string_equal(said(),
                        "main.conf:5: warning: names: leaf.pem is not valid for \"c.example\": clients that "
                        "ask for it refuse the connection\n"
                        "main.conf:5: warning: names: leaf.pem is not valid for \"y.x.b.example\": clients "
                        "that ask for it refuse the connection\n");
    settings.names = (struct conf_strings){none, 1};
    is_said("main.conf:5: names: \"a b\" is not a name");
    use((struct wanted){.common_name = "Some words that are no name"});
    settings.names.count = 0;
    assert_true(load());
    assert_int_equal(identity.name_count, 0);
    tls_identity_free(&identity);
}

#define IDENTITY_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IDENTITY_TEST(test_right),
        IDENTITY_TEST(test_key_of_the_environment),
        IDENTITY_TEST(test_all_kinds_of_keys),
        IDENTITY_TEST(test_files),
        IDENTITY_TEST(test_what_does_not_belong_together),
        IDENTITY_TEST(test_weak),
        IDENTITY_TEST(test_time),
        IDENTITY_TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
