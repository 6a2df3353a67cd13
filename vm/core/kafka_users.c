/* Who is who: SCRAM users. And whether we may look at users and ACLs at all. */
#include <string.h>

#include "kafka_int.h"

/* librdkafka 2.8 takes a refused DescribeAcls for an empty list, and frees a
 * text that is not its own when the users are refused. So both ask first: what
 * they need is the right to describe the cluster. */

bool tsh_kafka__may_describe(rd_kafka_event_t *event) {
  size_t count;
  const rd_kafka_AclOperation_t *allowed =
      rd_kafka_DescribeCluster_result_authorized_operations(
          rd_kafka_event_DescribeCluster_result(event), &count);
  for (size_t i = 0; allowed && i < count; i++)
    if (allowed[i] == RD_KAFKA_ACL_OPERATION_DESCRIBE)
      return true;
  return false;
}

int tsh_kafka__refused_to_look(tsh_err *err) {
  return tsh_kafka__fail(err, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                         "this needs the right to describe the cluster");
}

static const struct {
  rd_kafka_ScramMechanism_t code;
  const char *name;
} mechanisms[] = {{RD_KAFKA_SCRAM_MECHANISM_SHA_256, "SCRAM-SHA-256"},
                  {RD_KAFKA_SCRAM_MECHANISM_SHA_512, "SCRAM-SHA-512"}};

enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

static const char *mechanism_name(rd_kafka_ScramMechanism_t code) {
  for (size_t i = 0; i < MECHANISMS; i++)
    if (mechanisms[i].code == code)
      return mechanisms[i].name;
  return "unknown";
}

static rd_kafka_ScramMechanism_t mechanism_of(const char *name) {
  for (size_t i = 0; i < MECHANISMS; i++)
    if (strcmp(mechanisms[i].name, name) == 0)
      return mechanisms[i].code;
  return RD_KAFKA_SCRAM_MECHANISM_UNKNOWN;
}

/* users() */

int tsh_kafka__users(kafka_req *req, tsh_err *err) {
  req->step = KAFKA_MAY_WE;
  return tsh_kafka__cluster(req, err);
}

static int list_users(kafka_req *req) {
  req->step = KAFKA_LIST;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBEUSERSCRAMCREDENTIALS);
  rd_kafka_DescribeUserScramCredentials(req->kafka->rk, NULL, 0, options,
                                        req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  return KAFKA_MORE;
}

int tsh_kafka__users_read(kafka_req *req, rd_kafka_event_t *event,
                          tsh_err *err) {
  if (req->step == KAFKA_MAY_WE)
    return tsh_kafka__may_describe(event) ? list_users(req)
                                          : tsh_kafka__refused_to_look(err);
  size_t count;
  const rd_kafka_UserScramCredentialsDescription_t **list =
      rd_kafka_DescribeUserScramCredentials_result_descriptions(
          rd_kafka_event_DescribeUserScramCredentials_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t *error =
        rd_kafka_UserScramCredentialsDescription_error(list[i]);
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "name",
                      rd_kafka_UserScramCredentialsDescription_user(list[i]));
    tsh_kafka__item(req, item, error ? rd_kafka_error_code(error) : 0,
                    error ? rd_kafka_error_string(error) : NULL);
    tsh_data *known = tsh_data_add_table(req->pool, item, "mechanisms");
    size_t infos =
        rd_kafka_UserScramCredentialsDescription_scramcredentialinfo_count(
            list[i]);
    for (size_t k = 0; k < infos; k++) {
      const rd_kafka_ScramCredentialInfo_t *info =
          rd_kafka_UserScramCredentialsDescription_scramcredentialinfo(list[i],
                                                                       k);
      tsh_data *one = tsh_data_add_table(req->pool, known, NULL);
      tsh_data_add_text(
          req->pool, one, "mechanism",
          mechanism_name(rd_kafka_ScramCredentialInfo_mechanism(info)));
      tsh_data_add_number(req->pool, one, "iterations",
                          rd_kafka_ScramCredentialInfo_iterations(info));
    }
  }
  return 0;
}

/* alter_users{{name, mechanism, iterations, password | delete = true}} */

static rd_kafka_UserScramCredentialAlteration_t *
alteration(const tsh_data *item, tsh_err *err) {
  enum { ITERATIONS = 4096 /* the least that Kafka takes */ };
  const char *name = tsh_data_text(item, "name", NULL);
  const tsh_data *password = tsh_data_get(item, "password");
  rd_kafka_ScramMechanism_t mechanism =
      mechanism_of(tsh_data_text(item, "mechanism", "SCRAM-SHA-512"));
  bool remove = tsh_data_flag(item, "delete", false);
  if (!name || !*name || !mechanism ||
      (!remove && (!password || password->kind != TSH_DATA_TEXT ||
                   !password->as.text.length))) {
    tsh_kafka__invalid(err, "a user needs a name, a SCRAM mechanism, and a "
                            "password or delete = true");
    return NULL;
  }
  if (remove)
    return rd_kafka_UserScramCredentialDeletion_new(name, mechanism);
  return rd_kafka_UserScramCredentialUpsertion_new(
      name, mechanism, (int32_t)tsh_data_number(item, "iterations", ITERATIONS),
      (const unsigned char *)password->as.text.bytes, password->as.text.length,
      NULL, 0);
}

int tsh_kafka__alter_users(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return TSH_INVALID;
  size_t made = 0;
  rd_kafka_UserScramCredentialAlteration_t **list =
      tsh_kafka__array(req, tsh_data_count(items), sizeof *list);
  TSH_DATA_EACH(item, items) {
    rd_kafka_UserScramCredentialAlteration_t *one =
        list ? alteration(item, err) : NULL;
    if (!one) {
      rd_kafka_UserScramCredentialAlteration_destroy_array(list, made);
      return TSH_INVALID;
    }
    list[made++] = one;
  }
  if (!made)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_ALTERUSERSCRAMCREDENTIALS);
  rd_kafka_AlterUserScramCredentials(req->kafka->rk, list, made, options,
                                     req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_UserScramCredentialAlteration_destroy_array(list, made);
  return KAFKA_MORE;
}

int tsh_kafka__alter_users_read(kafka_req *req, rd_kafka_event_t *event,
                                tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_AlterUserScramCredentials_result_response_t **list =
      rd_kafka_AlterUserScramCredentials_result_responses(
          rd_kafka_event_AlterUserScramCredentials_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t *error =
        rd_kafka_AlterUserScramCredentials_result_response_error(list[i]);
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(
        req->pool, item, "name",
        rd_kafka_AlterUserScramCredentials_result_response_user(list[i]));
    tsh_kafka__item(req, item, error ? rd_kafka_error_code(error) : 0,
                    error ? rd_kafka_error_string(error) : NULL);
  }
  return 0;
}
