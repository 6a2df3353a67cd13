/*
 * Reads greetings and writes each one backwards: a read-process-write app with
 * a group of its own. A clean stop finishes what was read and commits exactly
 * that, so that nothing is lost or doubled across stop and start; a kill may
 * repeat what was read since the last commit.
 */
#include "app.h"
#include "reader.h"
#include "trail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 50, COMMIT_US = 200000, FLUSH_MS = 30000, QUEUE_MS = 10 };

struct reverser {
  const struct options *options;
  rd_kafka_t *out;
  struct trail *trail;
  long failed;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message,
                        void *opaque) {
  struct reverser *self = opaque;
  struct stamp *stamp = message->_private;
  (void)rk;
  if (message->err) {
    self->failed++;
    fprintf(stderr, "reverser: %s %" PRId64 " not acknowledged: %s\n",
            stamp->key, stamp->seq, rd_kafka_err2str(message->err));
  } else {
    trail_record(self->trail, "wrote", rd_kafka_topic_name(message->rkt),
                 message->partition, message->offset, stamp);
  }
  free(stamp);
}

static char *backwards(const rd_kafka_message_t *message) {
  char *value = malloc(message->len + 1);
  if (!value)
    app_die("out of memory");
  for (size_t i = 0; i < message->len; i++)
    value[i] = ((const char *)message->payload)[message->len - 1 - i];
  return value;
}

/* Key, number and headers travel on; the timestamp is this app's own. */
static void reverse(void *opaque, const rd_kafka_message_t *message) {
  struct reverser *self = opaque;
  rd_kafka_headers_t *from = NULL, *headers;
  int64_t timestamp = app_wall_ms();
  struct stamp *stamp = malloc(sizeof *stamp);
  char *value = backwards(message);
  if (!stamp)
    app_die("out of memory");
  if (rd_kafka_message_headers(message, &from) == 0)
    headers = rd_kafka_headers_copy(from);
  else
    headers = rd_kafka_headers_new(1);
  rd_kafka_header_add(headers, "reversed-by", -1, "hello-world-streams", -1);
  record_stamp(stamp, message->key, message->key_len, value, message->len,
               headers, timestamp);
  rd_kafka_resp_err_t why;
  while ((why = rd_kafka_producev(
              self->out, RD_KAFKA_V_TOPIC(self->options->to),
              RD_KAFKA_V_KEY(message->key, message->key_len),
              RD_KAFKA_V_VALUE(value, message->len),
              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_TIMESTAMP(timestamp),
              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
              RD_KAFKA_V_OPAQUE(stamp), RD_KAFKA_V_END)) ==
         RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(self->out, QUEUE_MS);
  if (why)
    app_die("%s", rd_kafka_err2str(why));
  free(value);
}

/* Before positions are committed, everything they cover is acknowledged. */
static void settle(void *opaque) {
  struct reverser *self = opaque;
  rd_kafka_flush(self->out, FLUSH_MS);
  if (self->failed || rd_kafka_outq_len(self->out) > 0)
    app_die("not everything was acknowledged; positions stay uncommitted");
}

int main(int argc, char **argv) {
  struct options options = {.app = "reverser",
                            .from = "apps.samples.greetings",
                            .to = "apps.samples.greetings.reversed",
                            .group = "reverser",
                            .reset = "error"};
  struct reverser self = {.options = &options};
  app_options(&options, argc, argv);
  app_catch_signals();

  rd_kafka_conf_t *conf = app_conf(&options);
  app_set(conf, "enable.idempotence", "true");
  app_set(conf, "acks", "all");
  app_set(conf, "linger.ms", "5");
  app_set(conf, "compression.codec", "zstd");
  app_set(conf, "message.timeout.ms", "60000");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, &self);
  self.trail = trail_open(options.trail, options.cluster);
  self.out = app_open(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = app_learn(self.out, options.to);

  struct reader reader = {.options = &options,
                          .trail = self.trail,
                          .record = reverse,
                          .settle = settle,
                          .opaque = &self};
  reader_open(&reader);
  trail_line(self.trail, "start reverser %d", (int)getpid());
  int64_t committed = app_now_us();
  while (!app_stopping) {
    reader_poll(&reader, POLL_MS);
    rd_kafka_poll(self.out, 0);
    if (app_now_us() - committed > COMMIT_US) {
      reader_commit(&reader);
      committed = app_now_us();
    }
    trail_flush(self.trail);
  }
  reader_close(&reader);
  trail_line(self.trail, "stop reverser");
  trail_close(self.trail);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(self.out);
  return 0;
}
