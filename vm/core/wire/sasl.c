/* Logging in by SASL, at first and again before a session ends (KIP-368).
 *
 * SaslHandshake names the mechanism, SaslAuthenticate carries its messages.
 * Their versions are not negotiated: every broker that speaks the versions of
 * Fetch we use (2.7 on) has them. While a login is under way no other request
 * may be sent; those that were sent before are answered before. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "conn_int.h"
#include "login_int.h"
#include "scram.h"
#include "tranship/buf.h"
#include "tranship/proto.h"

enum {
  HANDSHAKE = 17,    /* SaslHandshake, version 1 */
  AUTHENTICATE = 36, /* SaslAuthenticate, version 1 */
  ILLEGAL_STATE = 34,
  UNSUPPORTED_MECHANISM = 33,
  LONGEST_MESSAGE = 128 << 10,
  LEAST_BETWEEN_MS = 1100, /* brokers take no two logins within a second */
  MARGIN_MS = 10000        /* to the end of a session, if it is that long */
};

typedef enum step { IDLE, TOKEN, NAMING, FIRST, LAST } step;

struct tsh_sasl {
  tsh_conn *conn;
  step step;
  bool scramming;    /* `scram` is in use */
  uint64_t renew_at; /* 0: the session has no end */
  tsh_creds *creds;  /* while a login is under way */
  tsh_scram scram;
  tsh_buf body; /* of the request in flight: secret */
  struct iovec part;
  uv_work_t work; /* asks for a token, on the thread pool */
  bool working;
  atomic_bool abandoned;
  tsh_secret *token;
  tsh_err token_err;
};

static void wipe(tsh_buf *buf) {
  if (buf->data)
    OPENSSL_cleanse(buf->data, buf->capacity);
  buf->length = 0;
}

static void end_login(tsh_sasl *sasl) {
  wipe(&sasl->body);
  if (sasl->scramming)
    tsh_scram_fini(&sasl->scram);
  sasl->scramming = false;
  if (!sasl->working) {
    tsh_secret_free(sasl->token);
    sasl->token = NULL;
  }
  tsh_creds__release(sasl->creds);
  sasl->creds = NULL;
  sasl->step = IDLE;
}

static void fail(tsh_sasl *sasl, const tsh_err *err) {
  const tsh_creds *creds = sasl->creds;
  char who[64] = "";
  if (creds->user)
    snprintf(who, sizeof who, " of %.50s", creds->user);
  tsh_conn__fail(sasl->conn, err->kind, err->code, "login%s by %s: %s", who,
                 tsh_sasl__names[creds->mechanism], err->message);
}

static void fail_with(tsh_sasl *sasl, tsh_kind kind, int code,
                      const char *words) {
  tsh_err err;
  tsh_err_set(&err, kind, "wire", code, "%s", words);
  fail(sasl, &err);
}

/* --- messages of the mechanisms ------------------------------------------- */

/* Room first: a buffer that moved would leave a copy behind. */
static void add_secret(tsh_buf *out, tsh_secret *secret) {
  tsh_buf_reserve(out, tsh_secret_length(secret) + 16);
  tsh_buf_add(out, tsh_secret_bytes(secret), tsh_secret_length(secret));
}

static int write_first(tsh_sasl *sasl, tsh_buf *out, tsh_err *err) {
  tsh_creds *creds = sasl->creds;
  switch (creds->mechanism) {
    case SASL_PLAIN:
      tsh_buf_add(out, "", 1);
      tsh_buf_add_string(out, creds->user);
      tsh_buf_add(out, "", 1);
      add_secret(out, creds->password);
      return 0;
    case SASL_OAUTHBEARER:
      tsh_buf_add_string(out, "n,,\001auth=Bearer ");
      add_secret(out, sasl->token);
      tsh_buf_add_string(out, "\001\001");
      return 0;
    default: {
      int status =
          tsh_scram_init(&sasl->scram, creds->mechanism == SASL_SCRAM_512,
                         creds->user, NULL, err);
      sasl->scramming = true;
      if (status == 0)
        tsh_scram_first(&sasl->scram, out);
      return status;
    }
  }
}

static bool is_scram(const tsh_sasl *sasl) {
  return sasl->creds->mechanism == SASL_SCRAM_256 ||
         sasl->creds->mechanism == SASL_SCRAM_512;
}

/* --- requests ------------------------------------------------------------- */

static void on_named(void *user, const tsh_reply *reply);
static void on_answer(void *user, const tsh_reply *reply);

static void request(tsh_sasl *sasl, int16_t api_key,
                    void (*replied)(void *user, const tsh_reply *reply)) {
  tsh_buf *body = &sasl->body;
  if (body->failed) {
    fail_with(sasl, TSH_INVALID, 0, "user, password or token are too long");
    return;
  }
  sasl->part = (struct iovec){body->data, body->length};
  tsh_request req = {.api_key = api_key,
                     .version = 1,
                     .parts = &sasl->part,
                     .count = 1,
                     .replied = replied,
                     .user = sasl};
  if (tsh_conn__send_ours(sasl->conn, &req) != 0)
    fail_with(sasl, TSH_NO_MEMORY, 0, "no memory");
}

static void send_name(tsh_sasl *sasl) {
  const char *name = tsh_sasl__names[sasl->creds->mechanism];
  uint8_t size[2] = {0, (uint8_t)strlen(name)};
  sasl->step = NAMING;
  tsh_buf_add(&sasl->body, size, sizeof size);
  tsh_buf_add_string(&sasl->body, name);
  request(sasl, HANDSHAKE, on_named);
}

/* Leaves room for the length of the mechanism's message. */
static void begin_message(tsh_sasl *sasl) {
  wipe(&sasl->body);
  tsh_buf_add(&sasl->body, (uint8_t[4]){0}, 4);
}

static void send_message(tsh_sasl *sasl, step step) {
  tsh_buf *body = &sasl->body;
  sasl->step = step;
  if (!body->failed)
    tsh_put32((uint8_t *)body->data, (uint32_t)(body->length - 4));
  request(sasl, AUTHENTICATE, on_answer);
}

/* --- answers -------------------------------------------------------------- */

static void refuse_name(tsh_sasl *sasl, tsh_in *in, int code) {
  char words[200] = "this listener wants no SASL";
  if (code == UNSUPPORTED_MECHANISM) {
    size_t size = (size_t)snprintf(words, sizeof words,
                                   "the broker does not offer it, but");
    int64_t count = tsh_in_count(in, false, false);
    for (int64_t i = 0; i < count && !in->bad && size < sizeof words; i++) {
      tsh_text one = tsh_in_text(in, false);
      size += (size_t)snprintf(words + size, sizeof words - size, "%s %.*s",
                               i ? "," : "", (int)one.size, one.data);
    }
  } else if (code != ILLEGAL_STATE) {
    const char *name = tsh_kafka_error_name(code);
    snprintf(words, sizeof words, "%s", name ? name : "refused");
  }
  fail_with(sasl, TSH_AUTH, code, words);
}

static void on_named(void *user, const tsh_reply *reply) {
  tsh_sasl *sasl = user;
  tsh_err err;
  if (reply->status != 0)
    return; /* the connection has failed, and tells */
  tsh_in in = tsh_in_of(reply->data, reply->size);
  int code = tsh_in_i16(&in);
  if (in.bad) {
    fail_with(sasl, TSH_PROTOCOL, 0, "the broker's answer is broken");
  } else if (code != 0) {
    refuse_name(sasl, &in, code);
  } else {
    begin_message(sasl);
    if (write_first(sasl, &sasl->body, &err) != 0)
      fail(sasl, &err);
    else
      send_message(sasl, is_scram(sasl) ? FIRST : LAST);
  }
}

/* Well before the end, and not all connections at once. */
static uint64_t when_to_renew(int64_t life_ms) {
  unsigned char chance = 0;
  uint64_t life = (uint64_t)life_ms;
  RAND_bytes(&chance, 1);
  uint64_t least = life / 2 < MARGIN_MS ? life / 2 : MARGIN_MS;
  uint64_t margin = life * 15 / 100 > least ? life * 15 / 100 : least;
  uint64_t after = life - margin - life / 10 * chance / 255;
  return after > LEAST_BETWEEN_MS ? after : LEAST_BETWEEN_MS;
}

static void succeed(tsh_sasl *sasl, int64_t life_ms) {
  tsh_conn *conn = sasl->conn;
  sasl->renew_at =
      life_ms > 0 ? uv_now(conn->loop) + when_to_renew(life_ms) : 0;
  end_login(sasl);
  if (sasl->renew_at)
    tsh_conn__wake_at(conn, sasl->renew_at);
  tsh_conn__ready(conn);
}

/* SCRAM's second message, or for a refused token the one that ends it: only
 * then the broker says no. */
static void go_on(tsh_sasl *sasl, tsh_text answer) {
  tsh_secret *password = sasl->creds->password;
  tsh_err err;
  begin_message(sasl);
  if (is_scram(sasl)) {
    int status = tsh_scram_final(&sasl->scram, tsh_secret_bytes(password),
                                 tsh_secret_length(password), answer.data,
                                 answer.size, &sasl->body, &err);
    if (status != 0) {
      fail(sasl, &err);
      return;
    }
  } else {
    tsh_buf_add(&sasl->body, "\001", 1);
  }
  send_message(sasl, LAST);
}

static void judge(tsh_sasl *sasl, tsh_text answer, int64_t life_ms) {
  tsh_err err;
  if (sasl->step == FIRST) {
    go_on(sasl, answer);
  } else if (is_scram(sasl) && tsh_scram_verify(&sasl->scram, answer.data,
                                                answer.size, &err) != 0) {
    fail(sasl, &err);
  } else if (sasl->creds->mechanism == SASL_OAUTHBEARER && answer.size > 0) {
    go_on(sasl, answer);
  } else {
    succeed(sasl, life_ms);
  }
}

static void on_answer(void *user, const tsh_reply *reply) {
  tsh_sasl *sasl = user;
  char words[160];
  if (reply->status != 0)
    return;
  tsh_in in = tsh_in_of(reply->data, reply->size);
  int code = tsh_in_i16(&in);
  tsh_text said = tsh_in_text(&in, false);
  tsh_text answer = tsh_in_bytes(&in, false);
  int64_t life_ms = tsh_in_i64(&in);
  if (in.bad) {
    fail_with(sasl, TSH_PROTOCOL, 0, "the broker's answer is broken");
  } else if (code != 0) {
    const char *name = tsh_kafka_error_name(code);
    snprintf(words, sizeof words, "%.*s", (int)said.size,
             said.data ? said.data : "");
    fail_with(sasl, TSH_AUTH, code, *words ? words : name ? name : "refused");
  } else {
    judge(sasl, answer, life_ms);
  }
}

/* --- tokens --------------------------------------------------------------- */

static void ask_for_token(uv_work_t *work) {
  tsh_sasl *sasl = work->data;
  long long life_ms;
  tsh_login_token(sasl->conn->options.login, &sasl->abandoned, &sasl->token,
                  &life_ms, &sasl->token_err);
}

static void on_token(uv_work_t *work, int status) {
  tsh_sasl *sasl = work->data;
  tsh_conn *conn = sasl->conn;
  sasl->working = false;
  if (conn->state == CONN_FAILED)
    end_login(sasl);
  else if (status != 0 || !sasl->token)
    fail(sasl, &sasl->token_err);
  else
    send_name(sasl);
  tsh_conn__drop_part(conn);
}

static void get_token(tsh_sasl *sasl) {
  sasl->step = TOKEN;
  sasl->work.data = sasl;
  tsh_err_set(&sasl->token_err, TSH_AUTH, "wire", 0, "no token");
  if (uv_queue_work(sasl->conn->loop, &sasl->work, ask_for_token, on_token) !=
      0) {
    fail(sasl, &sasl->token_err);
    return;
  }
  sasl->working = true;
  sasl->conn->parts++;
}

/* --- life ----------------------------------------------------------------- */

void tsh_sasl__begin(tsh_conn *conn) {
  tsh_sasl *sasl = conn->sasl;
  sasl->renew_at = 0;
  sasl->creds = tsh_login__creds(conn->options.login);
  if (sasl->creds->mechanism == SASL_NONE)
    fail_with(sasl, TSH_AUTH, 0, "the login has changed its kind");
  else if (sasl->creds->mechanism == SASL_OAUTHBEARER)
    get_token(sasl);
  else
    send_name(sasl);
}

/* The token is asked for while requests still go. */
bool tsh_sasl__holds(const tsh_conn *conn) {
  return conn->sasl && conn->sasl->step > TOKEN;
}

void tsh_sasl__look(tsh_conn *conn, uint64_t now) {
  tsh_sasl *sasl = conn->sasl;
  if (!sasl || !sasl->renew_at || conn->state != CONN_OPEN)
    return;
  if (sasl->renew_at > now)
    tsh_conn__wake_at(conn, sasl->renew_at);
  else
    tsh_sasl__begin(conn);
}

int tsh_sasl__open(tsh_conn *conn, tsh_err *err) {
  tsh_creds *creds = tsh_login__creds(conn->options.login);
  bool wanted = creds->mechanism != SASL_NONE;
  tsh_creds__release(creds);
  if (!wanted)
    return 0;
  tsh_sasl *sasl = conn->sasl = calloc(1, sizeof *sasl);
  if (!sasl)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for a login");
  sasl->conn = conn;
  atomic_init(&sasl->abandoned, false);
  tsh_buf_init(&sasl->body, LONGEST_MESSAGE);
  return 0;
}

void tsh_sasl__stop(tsh_conn *conn) {
  tsh_sasl *sasl = conn->sasl;
  if (!sasl)
    return;
  atomic_store(&sasl->abandoned, true);
  sasl->renew_at = 0;
}

void tsh_sasl__free(tsh_sasl *sasl) {
  if (!sasl)
    return;
  end_login(sasl);
  tsh_buf_fini(&sasl->body);
  free(sasl);
}
