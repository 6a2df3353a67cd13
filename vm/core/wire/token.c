/* Bearer tokens from a command of the operator's. It runs as it would from
 * his shell; what it prints goes to locked memory and nowhere else. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tranship/login.h"
#include "tranship/secret.h"

extern char **environ;

enum {
  PATIENCE_MS = 20000,
  LOOK_MS = 100, /* how soon it is noticed that nobody waits any more */
  LONGEST_TOKEN = 64 << 10,
  LONGEST_WORDS = 200 /* of what the command says when it fails */
};

typedef struct child {
  pid_t pid;
  int out, err;
} child;

static void close_pair(const int pair[2]) {
  close(pair[0]);
  close(pair[1]);
}

static int spawn_with(char *const *command, const int out[2], const int err[2],
                      child *made) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out[1], 1);
  posix_spawn_file_actions_adddup2(&files, err[1], 2);
  int failed =
      posix_spawnp(&made->pid, command[0], &files, NULL, command, environ);
  posix_spawn_file_actions_destroy(&files);
  return failed;
}

static int start(char *const *command, child *made, tsh_err *err) {
  int out[2], errs[2];
  if (pipe2(out, O_CLOEXEC) != 0)
    return tsh_err_errno(err, errno, "a pipe for %s", command[0]);
  if (pipe2(errs, O_CLOEXEC) != 0) {
    int why = errno;
    close_pair(out);
    return tsh_err_errno(err, why, "a pipe for %s", command[0]);
  }
  int failed = spawn_with(command, out, errs, made);
  if (failed != 0) {
    close_pair(out);
    close_pair(errs);
    return tsh_err_set(err, TSH_AUTH, "wire", failed,
                       "token command %s cannot be started: %s", command[0],
                       strerror(failed));
  }
  close(out[1]);
  close(errs[1]);
  made->out = out[0];
  made->err = errs[0];
  return 0;
}

/* Reads what there is; false at the end. What does not fit is dropped. */
static bool drain(int fd, char *bytes, size_t *size, size_t most) {
  char rest[256];
  size_t room = most - *size;
  ssize_t n = read(fd, room ? bytes + *size : rest, room ? room : sizeof rest);
  if (n > 0 && room)
    *size += (size_t)n;
  OPENSSL_cleanse(rest, sizeof rest);
  return n > 0 || (n < 0 && errno == EINTR);
}

static long long now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (long long)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

typedef struct told {
  char *token;
  char words[LONGEST_WORDS + 1];
  size_t token_size, words_size;
} told;

/* Until both ends are closed; false when that took too long. */
static bool listen_to(const child *c, atomic_bool *abandoned, told *out) {
  long long end = now_ms() + PATIENCE_MS;
  struct pollfd at[] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
  while (at[0].fd >= 0 || at[1].fd >= 0) {
    if (now_ms() >= end || (abandoned && *abandoned))
      return false;
    if (poll(at, 2, LOOK_MS) <= 0)
      continue;
    if (at[0].revents &&
        !drain(c->out, out->token, &out->token_size, LONGEST_TOKEN))
      at[0].fd = -1;
    if (at[1].revents &&
        !drain(c->err, out->words, &out->words_size, LONGEST_WORDS))
      at[1].fd = -1;
  }
  return true;
}

static int judge(const char *name, bool in_time, int ended, told *all,
                 tsh_err *err) {
  char *line = strpbrk(all->words, "\r\n");
  if (line)
    *line = '\0';
  if (!in_time)
    return tsh_err_set(err, TSH_AUTH, "wire", 0,
                       "token command %s gave no token within %d s", name,
                       PATIENCE_MS / 1000);
  if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
    return tsh_err_set(err, TSH_AUTH, "wire", WEXITSTATUS(ended),
                       "token command %s failed with %s %d%s%s", name,
                       WIFEXITED(ended) ? "exit code" : "signal",
                       WIFEXITED(ended) ? WEXITSTATUS(ended) : WTERMSIG(ended),
                       *all->words ? ": " : "", all->words);
  if (all->token_size == 0)
    return tsh_err_set(err, TSH_AUTH, "wire", 0,
                       "token command %s printed "
                       "nothing",
                       name);
  return 0;
}

/* --- what a token says of itself ----------------------------------------- */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r'; }

/* The payload of a JWT, decoded; its size, or -1. */
static int payload_of(const char *token, size_t size, unsigned char *out,
                      size_t room) {
  char text[LONGEST_TOKEN + 4];
  const char *dot = memchr(token, '.', size);
  const char *from = dot ? dot + 1 : NULL;
  const char *to = from ? memchr(from, '.', size - (size_t)(from - token)) : 0;
  size_t length = to ? (size_t)(to - from) : 0;
  if (length == 0 || length > room)
    return -1;
  for (size_t i = 0; i < length; i++)
    text[i] = from[i] == '-' ? '+' : from[i] == '_' ? '/' : from[i];
  while (length % 4 != 0)
    text[length++] = '=';
  return EVP_DecodeBlock(out, (const unsigned char *)text, (int)length);
}

/* Milliseconds until "exp", or -1. A token that is not a JWT says nothing. */
static long long life_of(const char *token, size_t size) {
  unsigned char json[LONGEST_TOKEN + 4];
  int length = payload_of(token, size, json, LONGEST_TOKEN);
  long long life = -1;
  if (length > 0) {
    json[length] = '\0';
    const char *at = strstr((const char *)json, "\"exp\"");
    at = at ? strchr(at, ':') : NULL;
    double end = at ? strtod(at + 1, NULL) : 0;
    if (end > 0 && end < 1e12)
      life = (long long)(end - (double)time(NULL)) * 1000;
  }
  OPENSSL_cleanse(json, sizeof json);
  return life;
}

static int keep(told *all, tsh_secret **out, long long *life_ms, tsh_err *err) {
  const char *from = all->token;
  size_t size = all->token_size;
  while (size > 0 && is_space(from[size - 1]))
    size--;
  while (size > 0 && is_space(*from)) {
    from++;
    size--;
  }
  int status = tsh_secret_new(out, size, err);
  if (status != 0)
    return status;
  memcpy(tsh_secret_bytes(*out), from, size);
  tsh_secret_publish(*out);
  *life_ms = life_of(from, size);
  return 0;
}

int tsh_token_fetch(char *const *command, atomic_bool *abandoned,
                    tsh_secret **out, long long *life_ms, tsh_err *err) {
  child c;
  told all = {0};
  tsh_secret *room; /* locked memory, though nothing yet that has a name */
  int ended = 0;
  int status = tsh_secret_new(&room, LONGEST_TOKEN, err);
  if (status != 0)
    return status;
  all.token = tsh_secret_bytes(room);
  status = start(command, &c, err);
  if (status == 0) {
    bool in_time = listen_to(&c, abandoned, &all);
    if (!in_time)
      kill(c.pid, SIGKILL);
    close(c.out);
    close(c.err);
    while (waitpid(c.pid, &ended, 0) < 0 && errno == EINTR)
      continue;
    status = judge(command[0], in_time, ended, &all, err);
  }
  if (status == 0)
    status = keep(&all, out, life_ms, err);
  tsh_secret_free(room);
  return status;
}
