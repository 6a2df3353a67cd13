/* Where the source's log starts and ends, for a flow that stands outside. */
#include <stdlib.h>
#include <string.h>

#include "mirror_int.h"

enum {
  API_LIST_OFFSETS = 2,
  LIST_OFFSETS_VERSION = 4,
  AT_END = -1, /* the timestamps that mean both ends */
  AT_START = -2,
  NO_REPLICA = -1,
  ANY_EPOCH = -1
};

typedef struct question {
  flow *flow;
  int64_t timestamp;
  struct iovec body;
} question;

static uint8_t *put(uint8_t *at, uint64_t value, int size) {
  for (int i = size - 1; i >= 0; i--, value >>= 8)
    at[i] = (uint8_t)value;
  return at + size;
}

static uint64_t get(const uint8_t *at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; i++)
    value = value << 8 | at[i];
  return value;
}

static bool encode(question *asked) {
  const tsh_mirror_side *from = &asked->flow->spec.source;
  size_t name = strlen(from->topic);
  size_t size = 4 + 1 + 4 + 2 + name + 4 + 4 + 4 + 8;
  uint8_t *at = malloc(size);
  if (at == NULL)
    return false;
  asked->body = (struct iovec){at, size};
  at = put(at, (uint64_t)NO_REPLICA, 4);
  at = put(at, 0, 1); /* uncommitted: the ends of the log itself */
  at = put(at, 1, 4);
  at = put(at, name, 2);
  memcpy(at, from->topic, name);
  at = put(at + name, 1, 4);
  at = put(at, (uint64_t)from->partition, 4);
  at = put(at, (uint64_t)ANY_EPOCH, 4);
  put(at, (uint64_t)asked->timestamp, 8);
  return true;
}

/* The one offset of the one partition asked for, or -1. */
static int64_t offset_in(const flow *flow, const tsh_reply *reply) {
  size_t name = strlen(flow->spec.source.topic);
  size_t error_at = 4 + 4 + 2 + name + 4 + 4;
  if (reply->status != 0 || reply->size < error_at + 2 + 8 + 8 ||
      get(reply->data + 8, 2) != name || get(reply->data + error_at, 2) != 0)
    return -1;
  return (int64_t)get(reply->data + error_at + 2 + 8, 8);
}

static void forget(question *asked) {
  free(asked->body.iov_base);
  free(asked);
}

static void replied(void *user, const tsh_reply *reply) {
  question *asked = user;
  flow *flow = asked->flow;
  int64_t offset = offset_in(flow, reply);
  flow->asking--;
  if (flow->stop != NULL && asked->timestamp == AT_START)
    flow->stop->log_start = offset;
  else if (flow->stop != NULL)
    flow->stop->log_end = offset;
  forget(asked);
  tsh_mirror__settle(flow);
}

static void ask(flow *flow, tsh_conn *conn, int64_t timestamp) {
  question *asked = calloc(1, sizeof *asked);
  if (asked == NULL)
    return; /* then it is not known */
  asked->flow = flow;
  asked->timestamp = timestamp;
  if (!encode(asked)) {
    forget(asked);
    return;
  }
  tsh_request req = {.api_key = API_LIST_OFFSETS,
                     .version = LIST_OFFSETS_VERSION,
                     .parts = &asked->body,
                     .count = 1,
                     .replied = replied,
                     .user = asked};
  if (tsh_conn_send(conn, &req, NULL) == 0)
    flow->asking++;
  else
    forget(asked);
}

void tsh_mirror__ask_bounds(flow *flow, tsh_conn *conn) {
  ask(flow, conn, AT_START);
  ask(flow, conn, AT_END);
}
