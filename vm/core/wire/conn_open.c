/* From a name to a connected socket: numeric hosts at once, names through the
 * thread pool, addresses tried one after the other. */
#include <stdio.h>
#include <sys/socket.h>

#include "conn_int.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* Linux 5.15 */
#endif

static void try_address(tsh_conn *conn);

/* A fixed size ends the kernel's own tuning. Where the system's limit gives
 * less than was asked for, that tuning (to several MiB) is the better choice.
 */
static void size_buffers(const tsh_conn *conn, int fd) {
  const int names[] = {SO_RCVBUF, SO_SNDBUF};
  int wanted = (int)conn->options.socket_buffer;
  for (int i = 0; i < 2; i++) {
    int got = 0, unlocked = 0;
    socklen_t length = sizeof got;
    setsockopt(fd, SOL_SOCKET, names[i], &wanted, sizeof wanted);
    getsockopt(fd, SOL_SOCKET, names[i], &got, &length);
    if (got < wanted)
      setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &unlocked, sizeof unlocked);
  }
}

static void on_retry(uv_handle_t *handle) {
  tsh_conn *conn = handle->data;
  if (!conn->closed && conn->state == CONN_OPENING)
    try_address(conn);
  tsh_conn__drop_part(conn);
}

/* The address did not work: the next one, or the end. */
static void give_up_address(tsh_conn *conn, int status) {
  if (!conn->address || !conn->address->ai_next) {
    tsh_conn__fail_soon(conn, status);
    return;
  }
  conn->address = conn->address->ai_next;
  conn->has_socket = false;
  uv_close((uv_handle_t *)&conn->tcp, on_retry);
}

static void on_connect(uv_connect_t *req, int status) {
  tsh_conn *conn = req->data;
  if (!conn->has_socket || conn->state != CONN_OPENING)
    return;
  if (status < 0)
    give_up_address(conn, status);
  else
    tsh_conn__connected(conn);
}

static void try_address(tsh_conn *conn) {
  const struct sockaddr *to = conn->address
                                  ? conn->address->ai_addr
                                  : (const struct sockaddr *)&conn->numeric;
  uv_os_fd_t fd;
  int status = uv_tcp_init_ex(conn->loop, &conn->tcp, to->sa_family);
  if (status < 0) {
    tsh_conn__fail_soon(conn, status);
    return;
  }
  conn->parts++;
  conn->has_socket = true;
  conn->tcp.data = conn->connecting.data = conn;
  if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
    size_buffers(conn, fd);
  uv_tcp_nodelay(&conn->tcp, 1);
  status = uv_tcp_connect(&conn->connecting, &conn->tcp, to, on_connect);
  if (status < 0)
    give_up_address(conn, status);
}

static void on_resolved(uv_getaddrinfo_t *req, int status,
                        struct addrinfo *addresses) {
  tsh_conn *conn = req->data;
  conn->has_lookup = false;
  conn->addresses = conn->address = addresses;
  if (!conn->closed && conn->state == CONN_OPENING) {
    if (status < 0)
      tsh_conn__fail_soon(conn, status);
    else
      try_address(conn);
  }
  tsh_conn__drop_part(conn);
}

void tsh_conn__start(tsh_conn *conn) {
  const char *host = conn->options.host;
  struct sockaddr_in *v4 = (struct sockaddr_in *)&conn->numeric;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&conn->numeric;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  char service[8];
  if (uv_ip4_addr(host, conn->options.port, v4) == 0 ||
      uv_ip6_addr(host, conn->options.port, v6) == 0) {
    try_address(conn);
    return;
  }
  snprintf(service, sizeof service, "%u", conn->options.port);
  conn->resolving.data = conn;
  int status = uv_getaddrinfo(conn->loop, &conn->resolving, on_resolved, host,
                              service, &hints);
  if (status < 0) {
    tsh_conn__fail_soon(conn, status);
    return;
  }
  conn->has_lookup = true;
  conn->parts++;
}
