/* Inside of a connection: what its files share. conn.c sends and has the
 * life, conn_open.c gets to a socket, conn_reply.c reads, conn_end.c ends. */
#ifndef TRANSHIP_WIRE_CONN_INT_H
#define TRANSHIP_WIRE_CONN_INT_H

#include <uv.h>

#include "tranship/wire.h"

typedef enum conn_state { CONN_OPENING, CONN_OPEN, CONN_FAILED } conn_state;

/* A request between send and reply. It is freed when it was answered and
 * libuv has handed its write back. */
typedef struct flight {
  struct flight *next;
  uv_write_t write;
  tsh_conn *conn;
  uint64_t deadline; /* loop time, ms */
  uint64_t end;      /* position behind its last byte in all bytes sent */
  void (*replied)(void *user, const tsh_reply *reply);
  void *user;
  int32_t correlation;
  bool tagged;  /* the response header has tagged fields */
  bool writing; /* libuv holds `write` */
  bool answered;
  unsigned count;
  uv_buf_t bufs[]; /* request header first; its bytes follow the array */
} flight;

enum { REPLY_HEAD = 8 }; /* size and correlation id */

struct tsh_conn {
  uv_tcp_t tcp;
  uv_timer_t timer;
  uv_connect_t connecting;
  uv_getaddrinfo_t resolving;
  struct addrinfo *addresses, *address; /* all, and the one being tried */
  struct sockaddr_storage numeric;      /* where the host is no name */
  uv_loop_t *loop;
  conn_state state;
  bool closed;     /* by tsh_conn_close: to be freed with its last part */
  bool has_socket; /* tcp is initialised and not closing */
  bool has_lookup; /* the thread pool looks the host up */
  int parts;       /* handles and lookups that libuv still holds */
  int late_status; /* of libuv: to fail with from the timer, not in a call */
  tsh_err err;     /* why it failed */

  flight *first, *last;
  size_t in_flight;
  uint64_t handed; /* bytes given to the socket's queue */
  uint64_t wake;   /* when the timer fires; 0: it sleeps */
  bool grace;      /* a request was found overdue one turn ago */
  uint64_t open_deadline;
  int32_t correlation;

  uint8_t head[REPLY_HEAD];
  size_t got; /* of head and body together */
  tsh_body *body;

  tsh_conn_options options;
  char *text; /* host and client id */
  size_t client_id_size;
};

/* conn_open.c: resolve, connect, then tsh_conn__connected. */
void tsh_conn__start(tsh_conn *conn);
void tsh_conn__connected(tsh_conn *conn);

/* conn_reply.c: for uv_read_start. */
void tsh_conn__alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
void tsh_conn__read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* conn_end.c */
flight *tsh_conn__take_first(tsh_conn *conn);
void tsh_conn__answer(flight *f, const tsh_reply *reply);
void tsh_conn__answer_all(tsh_conn *conn, const tsh_err *err);
void tsh_conn__drop_flight(flight *f);    /* frees it when nobody holds it */
void tsh_conn__drop_part(tsh_conn *conn); /* may free the connection */
/* Nothing is read, written or timed any more. */
void tsh_conn__stop(tsh_conn *conn);
/* Stops, answers everything and tells; the first reason stands. */
void tsh_conn__fail(tsh_conn *conn, tsh_kind kind, int code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
void tsh_conn__fail_soon(tsh_conn *conn, int status); /* of libuv */
void tsh_conn__wake_at(tsh_conn *conn, uint64_t when);

#endif
