/* Secured connections against a scripted peer: TLS with OpenSSL's other half,
 * certificates that hold and that do not, SASL at first and again, and
 * requests that wait for it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "tls_make.h"
#include "tranship/login.h"
#include "tranship/loop.h"
#include "tranship/wire.h"
#include "wire_peer.h"

enum {
  LIST_GROUPS = 16,
  HANDSHAKE = 17,
  DELETE_RECORDS = 21,
  AUTHENTICATE = 36,
  DAY = 86400,
  HEADER = 2 + 2 + 4 + 2 + 1, /* of our requests: the client id is "t" */
  BIG = 3 << 20
};

typedef struct seen {
  tsh_loop *loop;
  tsh_conn *conn;
  int replies, wanted;
  int status[64];
  tsh_err err;
  size_t size;
  tsh_body *kept;
  uint8_t *data;
} seen;

static void on_reply(void *user, const tsh_reply *reply) {
  seen *s = user;
  s->status[s->replies++ % 64] = reply->status;
  if (reply->err)
    s->err = *reply->err;
  s->size = reply->size;
  tsh_body_release(s->kept);
  s->kept = reply->body ? tsh_body_keep(reply->body) : NULL;
  s->data = reply->data;
  if (s->replies >= s->wanted)
    tsh_loop_stop(s->loop);
}

static void open_to(seen *s, const char *host, uint16_t port,
                    tsh_login *login) {
  tsh_err err;
  tsh_conn_options options = {.host = host,
                              .port = port,
                              .login = login,
                              .client_id = "t",
                              .timeout_ms = 20000};
  *s = (seen){0};
  assert_int_equal(tsh_loop_open(&s->loop, NULL), 0);
  s->conn = tsh_conn_open(s->loop, &options, &err);
  assert_non_null(s->conn);
}

static int ask(seen *s, int16_t api_key, struct iovec *parts, int count) {
  tsh_request req = {.api_key = api_key,
                     .version = 1,
                     .parts = parts,
                     .count = count,
                     .replied = on_reply,
                     .user = s};
  return tsh_conn_send(s->conn, &req, NULL);
}

static void run_until(seen *s, int replies) {
  s->wanted = replies;
  if (s->replies < replies)
    tsh_loop_run(s->loop);
  assert_true(s->replies >= replies);
}

static void close_and_end(seen *s) {
  tsh_conn_close(s->conn);
  tsh_loop_run(s->loop);
  tsh_loop_close(s->loop);
  tsh_body_release(s->kept);
}

/* --- the peer's half of TLS ------------------------------------------------
 */

typedef struct server {
  const made_cert *cert, *clients; /* `clients`: who signs theirs, or NULL */
  size_t step;
  bool shaken;
} server;

static void shake_hands(peer *p) {
  server *own = p->user;
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(ctx, own->cert->cert);
  SSL_CTX_use_PrivateKey(ctx, own->cert->key);
  if (own->clients) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), own->clients->cert);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
  }
  p->ssl = SSL_new(ctx);
  SSL_CTX_free(ctx);
  SSL_set_fd(p->ssl, p->fd);
  own->shaken = SSL_accept(p->ssl) == 1;
}

static void reply_to(peer *p, const uint8_t *request, const void *body,
                     size_t size, size_t step) {
  uint8_t *reply = malloc(8 + size);
  uint32_t length = htonl((uint32_t)(4 + size));
  memcpy(reply, &length, 4);
  memcpy(reply + 4, request + 4, 4);
  if (size > 0)
    memcpy(reply + 8, body, size);
  for (size_t at = 0; at < 8 + size; at += step)
    peer_write(p, reply + at, 8 + size - at < step ? 8 + size - at : step);
  free(reply);
}

/* Answers each request with its own body, `step` bytes in a record. */
static void tls_echo(peer *p) {
  server *own = p->user;
  uint8_t *request;
  uint32_t size;
  shake_hands(p);
  while (own->shaken && (request = peer_request(p, &size)) != NULL) {
    reply_to(p, request, request + HEADER, size - HEADER, own->step);
    free(request);
  }
}

static made_cert ca, other_ca, good, expired, elsewhere, odd, client,
    old_client;

static int make_all(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  ca = make_cert("test authority", NULL, NULL, -DAY, DAY);
  other_ca = make_cert("other authority", NULL, NULL, -DAY, DAY);
  good = make_cert("broker", &ca, "DNS:localhost,IP:127.0.0.1", -DAY, DAY);
  expired =
      make_cert("late", &ca, "DNS:localhost,IP:127.0.0.1", -2 * DAY, -DAY);
  elsewhere =
      make_cert("broker", &ca, "DNS:kafka.example,IP:10.0.0.7", -DAY, DAY);
  odd = make_cert("broker", &ca, "DER:30:03:87:01:0a", -DAY, DAY);
  client = make_cert("client", &ca, NULL, -DAY, DAY);
  old_client = make_cert("client", &ca, NULL, -2 * DAY, -DAY);
  return 0;
}

static int drop_all(void **state) {
  made_cert *all[] = {&ca,        &other_ca, &good,   &expired,
                      &elsewhere, &odd,      &client, &old_client};
  (void)state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    drop_cert(all[i]);
  return 0;
}

static tsh_login *new_login(const tsh_login_spec *spec) {
  tsh_login *login;
  tsh_err err;
  if (tsh_login_new(&login, spec, &err) != 0)
    fail_msg("%s", err.message);
  return login;
}

/* An authority of others before the one that counts. */
static char *bundle(void) {
  static char text[8192];
  snprintf(text, sizeof text, "# ours and theirs\n%s\n%s", other_ca.pem,
           ca.pem);
  return text;
}

static void tls(void **state) {
  (void)state;
  const char *hosts[] = {"localhost", "127.0.0.1"};
  size_t steps[] = {100000, 7, 1};
  for (size_t i = 0; i < 6; i++) {
    peer p;
    seen s;
    server own = {.cert = &good, .step = steps[i % 3]};
    char a[] = "\0\0\0\0abc", b[] = "xyz";
    struct iovec parts[] = {{a, 7}, {b, 3}};
    tsh_login *login =
        new_login(&(tsh_login_spec){.tls = true, .ca = bundle()});
    peer_start(&p, tls_echo, &own);
    open_to(&s, hosts[i % 2], p.port, login);
    tsh_login_release(login); /* the connection keeps it */
    for (int n = 0; n < 5; n++)
      assert_int_equal(ask(&s, DELETE_RECORDS, parts, 2), 0);
    run_until(&s, 5);
    for (int n = 0; n < 5; n++)
      if (s.status[n] != 0)
        fail_msg("%s", s.err.message);
    assert_int_equal(s.size, 10);
    assert_memory_equal(s.data, "\0\0\0\0abcxyz", 10);
    assert_int_equal(tsh_conn_unsent(s.conn), 0);
    close_and_end(&s);
    peer_stop(&p);
  }
}

static void tls_big(void **state) {
  (void)state;
  peer p;
  seen s;
  server own = {.cert = &good, .clients = &ca, .step = 1 << 20};
  uint8_t *payload = malloc(BIG);
  for (size_t i = 0; i < BIG; i++)
    payload[i] = i < 4 ? 0 : (uint8_t)(i * 31 >> 3);
  struct iovec parts[] = {
      {payload, 5}, {payload + 5, 70000}, {payload + 70005, BIG - 70005}};
  tsh_login *login = new_login(&(tsh_login_spec){
      .tls = true, .ca = ca.pem, .cert = client.pem, .key = client.key_pem});
  peer_start(&p, tls_echo, &own);
  open_to(&s, "127.0.0.1", p.port, login);
  for (int n = 0; n < 4; n++)
    assert_int_equal(ask(&s, DELETE_RECORDS, parts, 3), 0);
  assert_true(tsh_conn_unsent(s.conn) >= 4 * (size_t)BIG);
  run_until(&s, 4);
  if (s.status[3] != 0)
    fail_msg("%s", s.err.message);
  assert_int_equal(s.size, BIG);
  assert_memory_equal(s.data, payload, BIG);
  assert_int_equal(ask(&s, DELETE_RECORDS, parts, 3), 0);
  tsh_conn_close(s.conn); /* in the middle of it */
  memset(payload, 0, BIG);
  free(payload);
  tsh_loop_run(s.loop);
  tsh_loop_close(s.loop);
  tsh_body_release(s.kept);
  tsh_login_release(login);
  peer_stop(&p);
}

/* --- certificates that do not hold ------------------------------------------
 */

static void plain_echo(peer *p) {
  uint8_t bytes[64];
  if (read(p->fd, bytes, sizeof bytes) > 0)
    peer_write(p, "\0\0\0\4\0\0\0\0", 8);
}

static void expect_refusal(void (*script)(peer *), server *own,
                           const tsh_login_spec *spec, const char *host,
                           const char *words) {
  peer p;
  seen s;
  tsh_login *login = new_login(spec);
  peer_start(&p, script, own);
  open_to(&s, host, p.port, login);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), 0);
  run_until(&s, 1);
  if (!strstr(s.err.message, words))
    fail_msg("'%s' is not in: %s", words, s.err.message);
  assert_int_equal(s.status[0], TSH_AUTH);
  assert_false(s.err.retriable);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), TSH_AUTH);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
}

static void certificates(void **state) {
  (void)state;
  tsh_login_spec plain = {.tls = true, .ca = ca.pem};
  tsh_login_spec foreign = {.tls = true, .ca = other_ca.pem};
  tsh_login_spec mutual = {.tls = true,
                           .ca = ca.pem,
                           .cert = old_client.pem,
                           .key = old_client.key_pem};
  server late = {.cert = &expired}, far = {.cert = &elsewhere},
         broken = {.cert = &odd}, /* for an address of one byte */
      fine = {.cert = &good, .step = 100},
         strict = {.cert = &good, .clients = &ca, .step = 100};
  expect_refusal(tls_echo, &late, &plain, "localhost",
                 "certificate (CN=late) has expired, on 20");
  expect_refusal(tls_echo, &far, &plain, "localhost",
                 "is not for localhost but for: kafka.example, 10.0.0.7");
  expect_refusal(tls_echo, &far, &plain, "127.0.0.1", "not for 127.0.0.1");
  expect_refusal(tls_echo, &broken, &plain, "localhost", "no host at all");
  expect_refusal(tls_echo, &fine, &foreign, "localhost",
                 "an authority that is not in ca: CN=test authority");
  expect_refusal(tls_echo, &strict, &plain, "localhost",
                 "wants a client certificate, and the login has none");
  expect_refusal(tls_echo, &strict, &mutual, "localhost",
                 "our certificate (CN=client)");
  expect_refusal(plain_echo, &fine, &plain, "localhost", "does not speak TLS");
}

static void any_host(void **state) {
  (void)state;
  peer p;
  seen s;
  server far = {.cert = &elsewhere, .step = 100};
  tsh_login *login =
      new_login(&(tsh_login_spec){.tls = true, .ca = ca.pem, .any_host = true});
  peer_start(&p, tls_echo, &far);
  open_to(&s, "localhost", p.port, login);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), 0);
  run_until(&s, 1);
  assert_int_equal(s.status[0], 0);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
}

static void expect_invalid(const tsh_login_spec *spec, const char *words) {
  tsh_login *login;
  tsh_err err;
  assert_int_equal(tsh_login_new(&login, spec, &err), TSH_INVALID);
  if (!strstr(err.message, words))
    fail_msg("'%s' is not in: %s", words, err.message);
}

static void pem(void **state) {
  (void)state;
  char torn[4096];
  snprintf(torn, sizeof torn, "%s%.200s", ca.pem, ca.pem);
#define TLS(...) &(tsh_login_spec){.tls = true, __VA_ARGS__}
#define SASL(...)                                                              \
  &(tsh_login_spec) { __VA_ARGS__ }
  expect_invalid(TLS(.ca = "nothing"), "ca holds no certificate");
  expect_invalid(TLS(.ca = torn), "certificate that is broken");
  expect_invalid(TLS(.ca = ca.pem, .cert = client.pem), "lacks the key");
  expect_invalid(TLS(.ca = ca.pem, .cert = client.pem, .key = "x"),
                 "key is no private key");
  expect_invalid(TLS(.ca = ca.pem, .cert = client.pem, .key = good.key_pem),
                 "key does not belong to cert");
  expect_invalid(SASL(.mechanism = "GSSAPI"), "no SASL mechanism 'GSSAPI'");
  expect_invalid(SASL(.mechanism = "PLAIN", .user = "a"), "lacks a password");
  expect_invalid(SASL(.mechanism = "SCRAM-SHA-512"), "lacks a user");
  expect_invalid(SASL(.mechanism = "OAUTHBEARER"), "lacks a token command");
}

/* --- SASL -------------------------------------------------------------------
 */

typedef struct guard {
  const char *want; /* the message of the mechanism that is let in */
  size_t want_size;
  int64_t life_ms; /* of a session */
  int logins, requests, broken_rules;
} guard;

static int16_t key_of(const uint8_t *request) {
  return (int16_t)(request[0] << 8 | request[1]);
}

static void answer_login(peer *p, const uint8_t *request, bool good_login,
                         int64_t life_ms) {
  uint8_t out[64] = {0};
  size_t at = 2;
  const char *words = good_login ? NULL : "no such user";
  if (!good_login)
    out[1] = 58;
  out[at++] = words ? 0 : 0xff;
  out[at++] = words ? (uint8_t)strlen(words) : 0xff;
  if (words)
    memcpy(out + at, words, strlen(words));
  at += words ? strlen(words) : 0;
  at += 4; /* no bytes */
  for (int i = 0; i < 8; i++)
    out[at++] = (uint8_t)(life_ms >> (56 - 8 * i));
  reply_to(p, request, out, at, 100);
}

/* A broker that lets in who says the right thing, and notices what is asked
 * while a login is under way. */
static void guarded(peer *p) {
  guard *g = p->user;
  static const uint8_t offer[] = {0, 0,   0,   0,   0,   1,  0,
                                  5, 'P', 'L', 'A', 'I', 'N'};
  uint8_t *request;
  uint32_t size;
  bool naming = false;
  while ((request = peer_request(p, &size)) != NULL) {
    const uint8_t *body = request + HEADER;
    bool is_login = key_of(request) == AUTHENTICATE;
    if (naming ? !is_login : is_login)
      g->broken_rules++;
    if (key_of(request) == HANDSHAKE) {
      usleep(3000); /* time for others to break in */
      reply_to(p, request, offer, sizeof offer, 100);
      naming = true;
    } else if (is_login) {
      bool fits = size - HEADER == 4 + g->want_size &&
                  memcmp(body + 4, g->want, g->want_size) == 0;
      answer_login(p, request, fits, g->life_ms);
      naming = false;
      g->logins++;
    } else {
      if (g->logins == 0)
        g->broken_rules++;
      g->requests++;
      usleep(2000);
      reply_to(p, request, "\0\0\0\0", 4, 100);
    }
    free(request);
  }
}

static const tsh_login_spec alice = {
    .mechanism = "PLAIN", .user = "alice", .password = "alice-pw"};

static void keep_asking(void *user, const tsh_reply *reply) {
  seen *s = user;
  if (reply->status != 0)
    s->err = *reply->err;
  s->replies++;
  tsh_request req = {
      .api_key = LIST_GROUPS, .version = 1, .replied = keep_asking, .user = s};
  if (reply->status != 0 || s->replies >= s->wanted)
    tsh_loop_stop(s->loop);
  else
    tsh_conn_send(s->conn, &req, NULL);
}

static void sessions(void **state) {
  (void)state;
  peer p;
  seen s;
  guard g = {.want = "\0alice\0alice-pw", .want_size = 15, .life_ms = 2400};
  tsh_login *login = new_login(&alice);
  peer_start(&p, guarded, &g);
  open_to(&s, "127.0.0.1", p.port, login);
  s.wanted = 1500; /* 2 ms each: three seconds */
  for (int n = 0; n < 5; n++) {
    tsh_request req = {.api_key = LIST_GROUPS,
                       .version = 1,
                       .replied = keep_asking,
                       .user = &s};
    assert_int_equal(tsh_conn_send(s.conn, &req, NULL), 0);
  }
  tsh_loop_run(s.loop);
  if (tsh_conn_failed(s.conn))
    fail_msg("%s", s.err.message);
  assert_true(s.replies >= 1500);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
  assert_true(g.logins >= 3);
  assert_int_equal(g.broken_rules, 0);
}

static void expect_no_entry(const tsh_login_spec *spec, const char *words) {
  peer p;
  seen s;
  guard g = {.want = "\0alice\0other", .want_size = 12};
  tsh_login *login = new_login(spec);
  peer_start(&p, guarded, &g);
  open_to(&s, "127.0.0.1", p.port, login);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), 0);
  run_until(&s, 1);
  assert_int_equal(s.status[0], TSH_AUTH);
  if (!strstr(s.err.message, words) || strstr(s.err.message, "alice-pw"))
    fail_msg("'%s': %s", words, s.err.message);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
  assert_int_equal(g.requests, 0);
}

static void replaced(void **state) {
  (void)state;
  peer p;
  seen s;
  guard g = {.want = "\0alice\0newer", .want_size = 12};
  tsh_login_spec newer = alice;
  tsh_login *login = new_login(&alice);
  tsh_err err;
  newer.password = "newer";
  assert_int_equal(
      tsh_login_replace(login, &(tsh_login_spec){.mechanism = "?"}, &err),
      TSH_INVALID);
  assert_int_equal(tsh_login_replace(login, &newer, &err), 0);
  peer_start(&p, guarded, &g);
  open_to(&s, "127.0.0.1", p.port, login);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), 0);
  run_until(&s, 1);
  assert_int_equal(s.status[0], 0);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
}

static void tokens(void **state) {
  (void)state;
  peer p;
  seen s;
  static const char want[] = "n,,\1auth=Bearer a-token\1\1";
  guard g = {.want = want, .want_size = sizeof want - 1};
  char *command[] = {"/bin/echo", "a-token", NULL};
  char *broken[] = {"/bin/false", NULL};
  tsh_login *login = new_login(
      &(tsh_login_spec){.mechanism = "OAUTHBEARER", .token_command = command});
  /* The script offers PLAIN; which name was sent it does not read. */
  peer_start(&p, guarded, &g);
  open_to(&s, "127.0.0.1", p.port, login);
  assert_int_equal(ask(&s, LIST_GROUPS, NULL, 0), 0);
  run_until(&s, 1);
  if (s.status[0] != 0)
    fail_msg("%s", s.err.message);
  close_and_end(&s);
  tsh_login_release(login);
  peer_stop(&p);
  expect_no_entry(
      &(tsh_login_spec){.mechanism = "OAUTHBEARER", .token_command = broken},
      "/bin/false failed with exit code 1");
}

static void closed_while_waiting(void **state) {
  (void)state;
  peer p;
  seen s;
  guard g = {0};
  char *slow[] = {"sleep", "60", NULL};
  tsh_login *login = new_login(
      &(tsh_login_spec){.mechanism = "OAUTHBEARER", .token_command = slow});
  peer_start(&p, guarded, &g);
  open_to(&s, "127.0.0.1", p.port, login);
  tsh_login_release(login);
  time_t began = time(NULL);
  for (int turns = 0; turns < 3; turns++)
    tsh_loop_turn(s.loop); /* connects, asks for the token */
  close_and_end(&s);
  assert_true(time(NULL) - began < 30);
  peer_stop(&p);
}

static void refused(void **state) {
  (void)state;
  expect_no_entry(&alice, "login of alice by PLAIN: no such user");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tls),      cmocka_unit_test(tls_big),
      cmocka_unit_test(any_host), cmocka_unit_test(certificates),
      cmocka_unit_test(pem),      cmocka_unit_test(refused),
      cmocka_unit_test(sessions), cmocka_unit_test(replaced),
      cmocka_unit_test(tokens),   cmocka_unit_test(closed_while_waiting),
  };
  return cmocka_run_group_tests(tests, make_all, drop_all);
}
