/* Kafka without brokers of its own: classes and refusals, settings, kinds of
 * errors, ends of calls; and with librdkafka's mock cluster what a real broker
 * will not answer on request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/kafka_int.h"

#include <librdkafka/rdkafka_mock.h>

typedef struct world {
  tsh_loop *loop;
  tsh_kafka *kafka;
  int done, status;
  bool runs;
  tsh_err err;
  int64_t items;
} world;

static const tsh_kafka_primitive *find(const char *name) {
  size_t count;
  tsh_kafka_primitives(&count);
  for (size_t i = 0; i < count; i++)
    if (strcmp(tsh_kafka_primitive_name(tsh_kafka_primitive_at(i)), name) == 0)
      return tsh_kafka_primitive_at(i);
  fail_msg("no primitive %s", name);
  return NULL;
}

static void open_world(world *w, tsh_kafka_mode mode, const char *bootstrap,
                       int timeout_ms) {
  tsh_kafka_setup setup = {
      .bootstrap = bootstrap, .mode = mode, .timeout_ms = timeout_ms};

  memset(w, 0, sizeof *w);
  assert_int_equal(tsh_loop_open(&w->loop, &w->err), 0);
  assert_int_equal(tsh_kafka_open(&w->kafka, w->loop, &setup, &w->err), 0);
}

static void close_world(world *w) {
  if (w->kafka) {
    tsh_kafka_close(w->kafka);
    tsh_kafka_destroy(w->kafka);
  }
  tsh_loop_close(w->loop);
}

static void done(tsh_op *op) {
  world *w = op->user;

  w->done++;
  w->status = op->status;
  w->err = op->err;
  if (op->status == 0)
    w->items = (int64_t)tsh_data_count(((tsh_kafka_req *)op)->result);
  op->free(op);
  if (w->runs)
    tsh_loop_stop(w->loop);
}

static void run(world *w) {
  w->runs = true;
  tsh_loop_run(w->loop);
  w->runs = false;
}

/* Starts a call with these arguments (taken); its op, or NULL when refused. */
static tsh_op *start(world *w, const char *name, tsh_pool *pool,
                     const tsh_data *args) {
  tsh_kafka_req *req;

  memset(&w->err, 0, sizeof w->err);
  w->status = tsh_kafka_call(w->kafka, find(name), pool, args, &req, &w->err);
  if (w->status)
    return NULL;
  req->op.user = w;
  req->op.done = done;
  return &req->op;
}

static tsh_op *start_topics(world *w, const char *name, bool validate_only) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *args = tsh_data_table(pool);
  tsh_data *list = tsh_data_add_table(pool, args, NULL);
  tsh_data *item = tsh_data_add_table(pool, list, NULL);

  tsh_data_add_text(pool, item, "name", "t");
  tsh_data_add_number(pool, item, "partitions", 1);
  if (validate_only)
    tsh_data_add_flag(pool, tsh_data_add_table(pool, args, NULL),
                      "validate_only", true);
  return start(w, name, pool, args);
}

static void every_writer_is_refused_when_read_only(void **state) {
  size_t count, writers = 0;
  world w;

  (void)state;
  open_world(&w, TSH_KAFKA_READ_ONLY, "127.0.0.1:1", 100);
  tsh_kafka_primitives(&count);
  for (size_t i = 0; i < count; i++) {
    const tsh_kafka_primitive *p = tsh_kafka_primitive_at(i);
    if (!tsh_kafka_primitive_writes(p) || p->role != TSH_KAFKA_CLIENT)
      continue;
    tsh_pool *pool = tsh_pool_new();
    assert_null(start(&w, p->name, pool, tsh_data_table(pool)));
    assert_int_equal(w.status, TSH_READ_ONLY);
    writers++;
  }
  assert_int_equal(writers, 11);
  tsh_kafka *producer;
  assert_int_equal(
      tsh_kafka_open_role(&producer, w.kafka, TSH_KAFKA_PRODUCER, NULL, &w.err),
      TSH_READ_ONLY);
  close_world(&w);
}

static void a_validating_client_only_validates(void **state) {
  world w;

  (void)state;
  open_world(&w, TSH_KAFKA_VALIDATES, "127.0.0.1:1", 200);
  assert_null(start_topics(&w, "create_topics", false));
  assert_int_equal(w.status, TSH_READ_ONLY);
  assert_null(start_topics(&w, "delete_groups", true));
  assert_int_equal(w.status, TSH_READ_ONLY);
  assert_non_null(start_topics(&w, "create_topics", true));
  run(&w);
  assert_int_equal(w.status, TSH_UNAVAILABLE);
  assert_true(w.err.retriable);
  assert_non_null(strstr(w.err.message, "refused"));
  close_world(&w);
}

static void settings_are_an_allow_list(void **state) {
  static const struct {
    const char *name, *value;
    int status;
  } cases[] = {{"linger.ms", "5", 0},
               {"client.rack", "r", 0},
               {"group.id", "g", TSH_INVALID},
               {"enable.auto.commit", "true", TSH_INVALID},
               {"allow.auto.create.topics", "true", TSH_INVALID},
               {"sasl.password", "x", TSH_INVALID},
               {"linger.ms", "soon", TSH_INVALID}};

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tsh_pool *pool = tsh_pool_new();
    tsh_data *settings = tsh_data_table(pool);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    tsh_err err = {0};
    tsh_data_add_text(pool, settings, cases[i].name, cases[i].value);
    assert_int_equal(tsh_kafka__settings(conf, settings, &err),
                     cases[i].status);
    if (cases[i].status)
      assert_non_null(strstr(err.message, cases[i].name));
    rd_kafka_conf_destroy(conf);
    tsh_pool_free(pool);
  }
}

static void codes_have_kinds(void **state) {
  static const struct {
    int code, kind;
    bool retriable;
  } cases[] = {
      {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, TSH_EXISTS, false},
      {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, TSH_CONFLICT, false},
      {RD_KAFKA_RESP_ERR__AUTHENTICATION, TSH_AUTH, false},
      {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, TSH_UNAVAILABLE, true},
      {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, TSH_DENIED, false},
      {RD_KAFKA_RESP_ERR__TIMED_OUT, TSH_TIMEOUT, true},
      {12345, TSH_IO, false}};

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tsh_err err = {0};
    assert_int_equal(
        tsh_kafka__fail(&err, (rd_kafka_resp_err_t)cases[i].code, NULL),
        cases[i].kind);
    assert_int_equal(err.code, cases[i].code);
    assert_int_equal(err.retriable, cases[i].retriable);
    assert_string_equal(err.origin, "kafka");
  }
  tsh_err err = {0};
  tsh_kafka__fail(&err, RD_KAFKA_RESP_ERR__TRANSPORT,
                  "a:1: Connect to ipv4#1.2.3.4:1 failed: Connection refused "
                  "(after 3ms in state CONNECT, 7 identical error(s) "
                  "suppressed)");
  assert_string_equal(err.message, "a:1: Connect to ipv4#1.2.3.4:1 failed: "
                                   "Connection refused (TRANSPORT)");
  tsh_kafka__fail(&err, RD_KAFKA_RESP_ERR__TRANSPORT, "ends (after all)");
  assert_string_equal(err.message, "ends (after all) (TRANSPORT)");
}

static void a_call_ends_when_its_handle_is_closed(void **state) {
  world w;

  (void)state;
  open_world(&w, TSH_KAFKA_MAY_WRITE, "127.0.0.1:1", 60000);
  assert_non_null(start_topics(&w, "create_topics", false));
  tsh_kafka_close(w.kafka);
  assert_int_equal(w.done, 1);
  assert_int_equal(w.status, TSH_CLOSED);
  tsh_kafka_destroy(w.kafka);
  w.kafka = NULL;
  close_world(&w);
}

static void a_call_can_be_canceled(void **state) {
  world w;
  tsh_op *op;

  (void)state;
  open_world(&w, TSH_KAFKA_MAY_WRITE, "127.0.0.1:1", 60000);
  op = start_topics(&w, "create_topics", false);
  op->cancel(op);
  assert_int_equal(w.done, 0); /* told on the loop, not from inside */
  run(&w);
  assert_int_equal(w.done, 1);
  assert_int_equal(w.status, TSH_CANCELED);
  close_world(&w);
}

/* The mock cluster: a coordinator that is not there yet, then is. */
static void not_coordinator_is_asked_again(void **state) {
  char why[256];
  rd_kafka_t *host =
      rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
  rd_kafka_mock_cluster_t *mock = rd_kafka_mock_cluster_new(host, 1);
  tsh_pool *pool = tsh_pool_new();
  tsh_data *args = tsh_data_table(pool);
  tsh_data *list, *item;
  world w;

  (void)state;
  rd_kafka_mock_topic_create(mock, "t", 1, 1);
  rd_kafka_mock_push_request_errors(
      mock, 8 /* OffsetCommit */, 3, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
      RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
  open_world(&w, TSH_KAFKA_MAY_WRITE, rd_kafka_mock_cluster_bootstraps(mock),
             20000);
  tsh_data_add_text(pool, args, NULL, "group");
  list = tsh_data_add_table(pool, args, NULL);
  item = tsh_data_add_table(pool, list, NULL);
  tsh_data_add_text(pool, item, "topic", "t");
  tsh_data_add_number(pool, item, "partition", 0);
  tsh_data_add_number(pool, item, "offset", 5);
  assert_non_null(start(&w, "alter_group_offsets", pool, args));
  run(&w);
  assert_int_equal(w.status, 0);
  assert_int_equal(w.items, 1);
  close_world(&w);
  rd_kafka_mock_cluster_destroy(mock);
  rd_kafka_destroy(host);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_writer_is_refused_when_read_only),
      cmocka_unit_test(a_validating_client_only_validates),
      cmocka_unit_test(settings_are_an_allow_list),
      cmocka_unit_test(codes_have_kinds),
      cmocka_unit_test(a_call_ends_when_its_handle_is_closed),
      cmocka_unit_test(a_call_can_be_canceled),
      cmocka_unit_test(not_coordinator_is_asked_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
