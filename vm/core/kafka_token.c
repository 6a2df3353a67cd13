/* Bearer tokens for librdkafka. It asks on a thread of its own making, so the
 * command may take its time; the loop never waits for it. */
#include <time.h>

#include "kafka_int.h"
#include "tranship/login.h"
#include "tranship/secret.h"

enum { LIFE_UNKNOWN_MS = 300000 }; /* of a token that does not say */

static void refresh(rd_kafka_t *rk, const char *config, void *user) {
  tsh_kafka *kafka = user;
  tsh_secret *token = NULL;
  long long life_ms;
  char why[256];
  tsh_err err;
  (void)config;
  if (tsh_login_token(kafka->login, &kafka->leaving, &token, &life_ms, &err) !=
      0) {
    rd_kafka_oauthbearer_set_token_failure(rk, err.message);
    return;
  }
  int64_t end =
      (int64_t)time(NULL) * 1000 + (life_ms > 0 ? life_ms : LIFE_UNKNOWN_MS);
  /* The name is not sent; the token says who we are. */
  if (rd_kafka_oauthbearer_set_token(rk, tsh_secret_bytes(token), end,
                                     "tranship", NULL, 0, why,
                                     sizeof why) != RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_oauthbearer_set_token_failure(rk, why);
  tsh_secret_free(token);
}

int tsh_kafka__token_login(tsh_login **out, const tsh_kafka_setup *setup,
                           tsh_err *err) {
  const tsh_login_spec spec = {.mechanism = "OAUTHBEARER",
                               .token_command = setup->token_command};
  *out = NULL;
  if (!setup->mechanism || strcmp(setup->mechanism, spec.mechanism) != 0)
    return 0;
  return tsh_login_new(out, &spec, err);
}

void tsh_kafka__token_conf(tsh_kafka *kafka, rd_kafka_conf_t *conf) {
  if (!kafka->login)
    return;
  rd_kafka_conf_set_opaque(conf, kafka);
  rd_kafka_conf_enable_sasl_queue(conf, 1);
  rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, refresh);
}

int tsh_kafka__token_start(tsh_kafka *kafka, tsh_err *err) {
  rd_kafka_error_t *error =
      kafka->login ? rd_kafka_sasl_background_callbacks_enable(kafka->rk)
                   : NULL;
  if (!error)
    return 0;
  tsh_err_set(err, TSH_INVALID, "kafka", 0, "%s", rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  return TSH_INVALID;
}
