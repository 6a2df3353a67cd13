/* HTTP on the loop: requests, and answers that stream.
 *
 * One tsh_http holds connections that its calls share; it belongs to one loop
 * and is used on that loop's thread. Redirects are not followed. A call is
 * started, waited for, read, and freed; freeing it early ends it. Bytes that
 * may be secret (headers sent, bodies) are wiped when a call goes; what
 * libcurl buffers while sending is out of reach. */
#ifndef TRANSHIP_HTTP_H
#define TRANSHIP_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"

typedef struct tsh_http tsh_http;
typedef struct tsh_http_call tsh_http_call;
struct tsh_loop;
struct tsh_op;

int tsh_http_open(tsh_http **out, struct tsh_loop *loop, tsh_err *err);
/* Calls that are still there end with TSH_CLOSED; free them as usual. */
void tsh_http_close(tsh_http *http);

typedef struct tsh_http_bytes {
  const char *data; /* NULL: none */
  size_t length;
} tsh_http_bytes;

/* Whom to trust, who we are, and which way to go. Copied by the call. */
typedef struct tsh_http_peer {
  tsh_http_bytes ca; /* PEM, any number; none: the system's authorities */
  tsh_http_bytes cert, key; /* PEM; none: no client certificate */
  const char *server_name;  /* what its certificate must be for, when that is
                               not the URL's host; NULL: the host */
  const char *proxy;        /* URL; NULL: as the environment says */
  bool insecure;            /* whoever answers is trusted */
} tsh_http_peer;

typedef struct tsh_http_ask {
  const char *method;
  const char *url;
  const char *const *headers; /* "Name: value", NULL at the end */
  tsh_http_bytes body;
  uint32_t timeout_ms; /* for all of it; 0: none, as streams want it */
  uint32_t idle_ms;    /* without a byte; whole seconds; 0: no limit */
  size_t limit;        /* bytes of the body, or of one line of a stream */
  bool is_stream;      /* read by lines; a slow reader slows the peer */
} tsh_http_ask;

/* `peer` and `ask` may go when it returns. What the network does is told to
 * whoever waits; an error here is a value that cannot be meant. */
int tsh_http_start(tsh_http_call **out, tsh_http *http,
                   const tsh_http_peer *peer, const tsh_http_ask *ask,
                   tsh_err *err);
void tsh_http_free(tsh_http_call *call); /* NULL is fine */

typedef enum tsh_http_event {
  TSH_HTTP_HEAD, /* status and headers are there */
  TSH_HTTP_LINE, /* a line is there, or the stream is at its end */
  TSH_HTTP_END   /* all of it is there */
} tsh_http_event;

/* An operation (loop.h) that is done when the event has come. It fails as the
 * call failed. `err.retriable` says that the request was surely never sent;
 * TSH_CLOSED is a connection lost after that, TSH_TIMEOUT a passed deadline.
 */
struct tsh_op *tsh_http_wait(tsh_http_call *call, tsh_http_event event);

int tsh_http_status(const tsh_http_call *call);
/* The value of the index-th header of that name, or NULL. */
const char *tsh_http_header(const tsh_http_call *call, const char *name,
                            size_t index);
/* What there is of the body; of a stream: what was not taken as lines. */
tsh_http_bytes tsh_http_body(const tsh_http_call *call);
/* Takes the next line, without its end; it is valid until the next call. False
 * when none is complete: then nothing is left, or bytes without an end. */
bool tsh_http_line(tsh_http_call *call, tsh_http_bytes *out);

#endif
