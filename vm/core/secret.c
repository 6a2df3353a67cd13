/* Secrets: one locked mapping each, in a list that redaction walks. */
#include "tranship/secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tranship/log.h"

struct tsh_secret {
  tsh_secret *next;
  size_t length;
  size_t mapped; /* whole pages: a mapping is locked and wiped as one */
  char *bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tsh_secret *live;
static const char blank[] = "<redacted>";

static size_t whole_pages(size_t length) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);

  return (length / page + 1) * page;
}

int tsh_secret_new(tsh_secret **out, size_t length, tsh_err *err) {
  tsh_secret *secret = calloc(1, sizeof *secret);

  if (secret == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "secret", 0, "no memory");
  secret->length = length;
  secret->mapped = whole_pages(length);
  secret->bytes = mmap(NULL, secret->mapped, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (secret->bytes == MAP_FAILED) {
    free(secret);
    return tsh_err_errno(err, errno, "memory for a secret");
  }
  if (mlock(secret->bytes, secret->mapped) != 0)
    tsh_log(TSH_DEBUG, "secret: memory cannot be locked: %s", strerror(errno));
  madvise(secret->bytes, secret->mapped, MADV_DONTDUMP);
  *out = secret;
  return 0;
}

void tsh_secret_publish(tsh_secret *secret) {
  pthread_mutex_lock(&lock);
  secret->next = live;
  live = secret;
  pthread_mutex_unlock(&lock);
}

char *tsh_secret_bytes(tsh_secret *secret) { return secret->bytes; }

size_t tsh_secret_length(const tsh_secret *secret) { return secret->length; }

void tsh_secret_free(tsh_secret *secret) {
  tsh_secret **at;

  if (secret == NULL)
    return;
  pthread_mutex_lock(&lock);
  for (at = &live; *at != NULL && *at != secret; at = &(*at)->next)
    continue;
  if (*at != NULL) /* else: it was never published */
    *at = secret->next;
  pthread_mutex_unlock(&lock);
  explicit_bzero(secret->bytes, secret->mapped);
  munmap(secret->bytes, secret->mapped);
  free(secret);
}

/* The longest live secret that `text` begins with: a secret may begin with
 * another one, whose blanking would leave the rest in the open. */
static size_t secret_at(const char *text, size_t length) {
  size_t longest = 0;

  for (const tsh_secret *s = live; s != NULL; s = s->next) {
    if (s->length < TSH_SECRET_SHORTEST || s->length > length)
      continue;
    if (s->length > longest && memcmp(text, s->bytes, s->length) == 0)
      longest = s->length;
  }
  return longest;
}

size_t tsh_secret_redact(const char *text, size_t length, tsh_buf *out) {
  size_t found = 0, from = 0, at = 0;

  pthread_mutex_lock(&lock);
  while (live != NULL && at < length) {
    size_t hidden = secret_at(text + at, length - at);

    if (hidden == 0) {
      at++;
      continue;
    }
    tsh_buf_add(out, text + from, at - from);
    tsh_buf_add_string(out, blank);
    at += hidden;
    from = at;
    found++;
  }
  pthread_mutex_unlock(&lock);
  tsh_buf_add(out, text + from, length - from);
  return found;
}
