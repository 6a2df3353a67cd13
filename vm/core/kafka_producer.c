/* Producers: records with partition, timestamp and headers, and transactions.
 *
 * A produce call is over when every record has been answered for. Records are
 * handed to librdkafka until its queue is full, and again as answers come. The
 * transaction calls of librdkafka block, so they run on the thread pool. */
#include <string.h>

#include "kafka_int.h"

typedef struct delivery {
  kafka_req *req;
  rd_kafka_resp_err_t code;
  int32_t partition;
  int64_t offset;
} delivery;

typedef struct sending {
  size_t count, fed, answered;
  const tsh_data *next; /* to be fed */
  delivery delivery[];
} sending;

int tsh_kafka__producer_conf(rd_kafka_conf_t *conf, const tsh_data *args,
                             tsh_err *err) {
  const char *id = tsh_data_text(args, "transactional_id", NULL);
  int status = tsh_kafka__set(conf, "enable.idempotence", "true", err);
  if (!status)
    status = tsh_kafka__set(conf, "linger.ms", "2", err);
  if (!status && id)
    status = tsh_kafka__set(conf, "transactional.id", id, err);
  return status;
}

/* produce{{topic, partition?, key, value, headers, timestamp}} */

static int add_headers(rd_kafka_headers_t *headers, const tsh_data *list) {
  TSH_DATA_EACH(item, list) {
    const char *name = tsh_data_text(item, "name", NULL);
    const tsh_data *value = tsh_data_get(item, "value");
    if (!name)
      return TSH_INVALID;
    rd_kafka_header_add(
        headers, name, -1,
        value && value->kind == TSH_DATA_TEXT ? value->as.text.bytes : NULL,
        value && value->kind == TSH_DATA_TEXT ? (ssize_t)value->as.text.length
                                              : 0);
  }
  return 0;
}

static rd_kafka_vu_t bytes(rd_kafka_vtype_t type, const tsh_data *text) {
  rd_kafka_vu_t vu = {.vtype = type};
  if (text && text->kind == TSH_DATA_TEXT) {
    vu.u.mem.ptr = (void *)(uintptr_t)text->as.text.bytes;
    vu.u.mem.size = text->as.text.length;
  }
  return vu;
}

static rd_kafka_resp_err_t send_one(tsh_kafka *kafka, const tsh_data *item,
                                    delivery *sent) {
  const tsh_data *headers = tsh_data_get(item, "headers");
  rd_kafka_headers_t *native =
      tsh_data_count(headers) ? rd_kafka_headers_new(4) : NULL;
  if (native && add_headers(native, headers)) {
    rd_kafka_headers_destroy(native);
    return RD_KAFKA_RESP_ERR__INVALID_ARG;
  }
  rd_kafka_vu_t vus[8] = {
      {.vtype = RD_KAFKA_VTYPE_TOPIC,
       .u.cstr = tsh_data_text(item, "topic", "")},
      {.vtype = RD_KAFKA_VTYPE_PARTITION,
       .u.i32 =
           (int32_t)tsh_data_number(item, "partition", RD_KAFKA_PARTITION_UA)},
      {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
      {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = sent},
      {.vtype = RD_KAFKA_VTYPE_TIMESTAMP,
       .u.i64 = tsh_data_number(item, "timestamp", 0)},
      bytes(RD_KAFKA_VTYPE_KEY, tsh_data_get(item, "key")),
      bytes(RD_KAFKA_VTYPE_VALUE, tsh_data_get(item, "value")),
  };
  size_t count = 7;
  if (native) {
    vus[count].vtype = RD_KAFKA_VTYPE_HEADERS;
    vus[count++].u.headers = native;
  }
  rd_kafka_error_t *error = rd_kafka_produceva(kafka->rk, vus, count);
  if (!error)
    return 0;
  rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  if (native)
    rd_kafka_headers_destroy(native);
  return code;
}

static void feed(kafka_req *req, sending *all) {
  while (all->next) {
    delivery *sent = &all->delivery[all->fed];
    sent->req = req;
    sent->code = send_one(req->kafka, all->next, sent);
    if (sent->code == RD_KAFKA_RESP_ERR__QUEUE_FULL && all->fed > all->answered)
      return; /* goes on when something is answered */
    all->next = all->next->next;
    all->fed++;
    if (sent->code)
      all->answered++;
    else
      req->pending++;
  }
}

static void make_answer(kafka_req *req, sending *all) {
  for (size_t i = 0; i < all->count; i++) {
    const delivery *sent = &all->delivery[i];
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_kafka__item(req, item, sent->code, NULL);
    if (sent->code)
      continue;
    tsh_data_add_number(req->pool, item, "partition", sent->partition);
    tsh_data_add_number(req->pool, item, "offset", sent->offset);
  }
}

int tsh_kafka__produce(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return TSH_INVALID;
  size_t count = tsh_data_count(items);
  sending *all =
      tsh_kafka__array(req, 1, sizeof *all + count * sizeof *all->delivery);
  if (!all)
    return TSH_NO_MEMORY;
  all->count = count;
  all->next = tsh_data_first(items);
  req->state = all;
  feed(req, all);
  if (all->answered < all->count)
    return KAFKA_MORE;
  make_answer(req, all);
  return 0;
}

/* Delivery reports: an event may carry those of several calls. */
void tsh_kafka__producer_serve(tsh_kafka *kafka, rd_kafka_event_t *event) {
  (void)kafka;
  const rd_kafka_message_t *m;
  while ((m = rd_kafka_event_message_next(event))) {
    delivery *sent = m->_private;
    kafka_req *req = sent->req;
    sending *all = req->state;
    sent->code = m->err;
    sent->partition = m->partition;
    sent->offset = m->offset;
    all->answered++;
    req->pending--;
    if (req->finished) {
      tsh_kafka__forget(req);
      continue;
    }
    feed(req, all);
    if (all->answered < all->count)
      continue;
    make_answer(req, all);
    tsh_kafka__finish(req, 0);
  }
}

/* The calls that block. */

static int run_flush(kafka_req *req, tsh_err *err) {
  rd_kafka_resp_err_t code =
      rd_kafka_flush(req->owner->rk, req->owner->timeout_ms);
  return code ? tsh_kafka__fail(err, code, NULL) : 0;
}

static int run_init(kafka_req *req, tsh_err *err) {
  return tsh_kafka__fail_error(
      err, rd_kafka_init_transactions(req->owner->rk, req->owner->timeout_ms));
}

static int run_begin(kafka_req *req, tsh_err *err) {
  return tsh_kafka__fail_error(err, rd_kafka_begin_transaction(req->owner->rk));
}

/* -1: as long as the transaction may last; giving up early would leave it
 * open with its end unknown. */
static int run_commit(kafka_req *req, tsh_err *err) {
  return tsh_kafka__fail_error(err,
                               rd_kafka_commit_transaction(req->owner->rk, -1));
}

static int run_abort(kafka_req *req, tsh_err *err) {
  return tsh_kafka__fail_error(err,
                               rd_kafka_abort_transaction(req->owner->rk, -1));
}

static int run_send_offsets(kafka_req *req, tsh_err *err) {
  const tsh_data *group = tsh_data_at(req->args, 1);
  rd_kafka_topic_partition_list_t *parts = req->state;
  rd_kafka_consumer_group_metadata_t *metadata =
      rd_kafka_consumer_group_metadata_new(group->as.text.bytes);
  int status = tsh_kafka__fail_error(
      err, rd_kafka_send_offsets_to_transaction(req->owner->rk, parts, metadata,
                                                req->owner->timeout_ms));
  rd_kafka_consumer_group_metadata_destroy(metadata);
  return status;
}

static void release_offsets(kafka_req *req) {
  rd_kafka_topic_partition_list_destroy(req->state);
}

#define BLOCKING(NAME)                                                         \
  int tsh_kafka__##NAME(kafka_req *req, tsh_err *err) {                        \
    (void)err;                                                                 \
    return tsh_kafka__block(req, run_##NAME, NULL);                            \
  }
BLOCKING(flush)
BLOCKING(init)
BLOCKING(begin)
BLOCKING(commit)
BLOCKING(abort)

int tsh_kafka__send_offsets(kafka_req *req, tsh_err *err) {
  const tsh_data *group = tsh_data_at(req->args, 1);
  const tsh_data *items = tsh_kafka__table_arg(req, 2, err);
  if (!items)
    return TSH_INVALID;
  if (!group || group->kind != TSH_DATA_TEXT || !group->as.text.length)
    return tsh_kafka__invalid(err, "the first argument is a group's name");
  req->state = tsh_kafka__partitions(items, "offset", err);
  if (!req->state)
    return TSH_INVALID;
  req->release = release_offsets;
  return tsh_kafka__block(req, run_send_offsets, NULL);
}
