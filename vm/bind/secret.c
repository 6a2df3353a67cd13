/* vm.secret: text that may be handed on, and never looked at.
 *
 * A secret prints as "<secret label fp>"; joining it gives a secret; comparing
 * and measuring are refused. Only sinks open it, in C (tsh_bind_secret). */
#include "tranship/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bind.h"

typedef struct secret {
  tsh_secret *bytes;
} secret;

enum {
  LABEL = 1, /* user values */
  SOURCE = 2,
  KEY_BYTES = 32,
  SHOWN_DIGITS = 4,
  LARGEST_FILE = 1 << 16,
  LONGEST_LINE = 1024
};

static void secret_release(void *body) {
  tsh_secret_free(((secret *)body)->bytes);
}

/* What is shown of a secret is keyed by chance, so that it tells two secrets
 * of one run apart and helps nobody to guess them. */
static unsigned char run_key[KEY_BYTES];

static void push_fingerprint(lua_State *L, const tsh_secret *bytes,
                             const void *key, size_t key_length,
                             size_t digits) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  char hex[2 * EVP_MAX_MD_SIZE + 1];
  unsigned int length = 0;

  HMAC(EVP_sha256(), key, (int)key_length,
       (const unsigned char *)tsh_secret_bytes((tsh_secret *)bytes),
       tsh_secret_length(bytes), sum, &length);
  for (unsigned int i = 0; i < length; i++)
    snprintf(hex + 2 * i, 3, "%02x", sum[i]);
  lua_pushlstring(L, hex, digits < 2 * length ? digits : 2 * length);
}

static const tsh_class secret_class;

/* fingerprint(key) -> 64 hex digits: HMAC-SHA256 under the key. */
static int secret_fingerprint(lua_State *L) {
  secret *s = tsh_bind_check(L, 1, &secret_class);
  size_t length;
  const char *key = luaL_checklstring(L, 2, &length);

  push_fingerprint(L, s->bytes, key, length, SIZE_MAX);
  return 1;
}

static int secret_label(lua_State *L) {
  tsh_bind_check(L, 1, &secret_class);
  lua_getiuservalue(L, 1, LABEL);
  return 1;
}

/* source() -> "env:NAME", "file:PATH": where the same bytes can be had again;
 * nil when there is no such place. */
static int secret_source(lua_State *L) {
  tsh_bind_check(L, 1, &secret_class);
  lua_getiuservalue(L, 1, SOURCE);
  return 1;
}

static const luaL_Reg methods[] = {{"fingerprint", secret_fingerprint},
                                   {"label", secret_label},
                                   {"source", secret_source},
                                   {NULL, NULL}};

static const tsh_class secret_class = {"secret", sizeof(secret), secret_release,
                                       methods, true};

const char *tsh_bind_secret(lua_State *L, int index, size_t *length) {
  secret *s = tsh_bind_test(L, index, &secret_class);

  if (s == NULL)
    return lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, length)
                                             : NULL;
  *length = tsh_secret_length(s->bytes);
  return tsh_secret_bytes(s->bytes);
}

/* Pushes a secret made of two parts, with the label on top (which is popped).
 */
static int push_secret(lua_State *L, const char *left, size_t left_length,
                       const char *right, size_t right_length) {
  secret *s = tsh_bind_new(L, &secret_class);
  tsh_err err;

  lua_insert(L, -2);
  lua_setiuservalue(L, -2, LABEL);
  if (tsh_secret_new(&s->bytes, left_length + right_length, &err) != 0)
    return luaL_error(L, "%s", err.message);
  tsh_bind_opened(L, s);
  memcpy(tsh_secret_bytes(s->bytes), left, left_length);
  memcpy(tsh_secret_bytes(s->bytes) + left_length, right, right_length);
  tsh_secret_publish(s->bytes);
  return 1;
}

/* new(text, label) -> secret. */
static int secret_new(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);

  lua_settop(L, 2);
  luaL_optstring(L, 2, NULL);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "secret");
    lua_replace(L, 2);
  }
  return push_secret(L, text, length, "", 0);
}

/* Secrets from elsewhere never pass through a Lua string. */

static int push_bytes(lua_State *L, const char *bytes, size_t length,
                      const char *scheme, const char *name) {
  lua_pushstring(L, name);
  push_secret(L, bytes, length, "", 0);
  if (*scheme != '\0') {
    lua_pushfstring(L, "%s:%s", scheme, name);
    lua_setiuservalue(L, -2, SOURCE);
  }
  return 1;
}

int tsh_bind_push_secret(lua_State *L, const char *bytes, size_t length,
                         const char *label) {
  return push_bytes(L, bytes, length, "", label);
}

/* from_env(name) -> secret | nil, err. */
static int secret_from_env(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *value = getenv(name);
  tsh_err err;

  if (value != NULL)
    return push_bytes(L, value, strlen(value), "env", name);
  tsh_err_set(&err, TSH_NOT_FOUND, "secret", 0, "no variable %s", name);
  return tsh_bind_fail(L, &err);
}

/* Reads all of `fd` into `bytes`; -1 with errno, or when it does not fit. */
static ssize_t read_all(int fd, char *bytes, size_t size) {
  size_t length = 0;

  for (;;) {
    ssize_t n = read(fd, bytes + length, size - length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? n : (ssize_t)length;
    length += (size_t)n;
    if (length == size) {
      errno = EFBIG;
      return -1;
    }
  }
}

static int fail_read(lua_State *L, const char *what) {
  tsh_err err;

  tsh_err_errno(&err, errno, "read %s", what);
  return tsh_bind_fail(L, &err);
}

static int push_all_of(lua_State *L, int fd, const char *scheme,
                       const char *name) {
  char bytes[LARGEST_FILE];
  ssize_t length = read_all(fd, bytes, sizeof bytes);

  if (length >= 0) {
    bool has_end = *scheme != '\0' && length > 0 && bytes[length - 1] == '\n';

    push_bytes(L, bytes, (size_t)length - has_end, scheme, name);
  }
  explicit_bzero(bytes, sizeof bytes);
  return length >= 0 ? 1 : fail_read(L, name);
}

/* from_file(path) -> secret | nil, err; one line feed at its end is not part
 * of it. */
static int secret_from_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  int count;

  if (fd < 0)
    return fail_read(L, path);
  count = push_all_of(L, fd, "file", path);
  close(fd);
  return count;
}

/* from_input() -> secret | nil, err: all of our standard input, as it is. */
static int secret_from_input(lua_State *L) {
  return push_all_of(L, STDIN_FILENO, "", "standard input");
}

/* from_terminal(prompt) -> secret | nil, err; what is typed is not shown. It
 * blocks everything else: it is for the start of a program. */
static int secret_from_terminal(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  char line[LONGEST_LINE];
  struct termios before, quiet;
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  ssize_t length = -1;

  if (fd < 0 || tcgetattr(fd, &before) != 0) {
    if (fd >= 0)
      close(fd);
    return fail_read(L, "the terminal");
  }
  quiet = before;
  quiet.c_lflag &= ~(tcflag_t)ECHO;
  tcsetattr(fd, TCSAFLUSH, &quiet);
  if (dprintf(fd, "%s", prompt) >= 0)
    length = read(fd, line, sizeof line);
  tcsetattr(fd, TCSAFLUSH, &before);
  dprintf(fd, "\n");
  close(fd);
  if (length < 0)
    return fail_read(L, "the terminal");
  if (length > 0 && line[length - 1] == '\n')
    length--;
  push_bytes(L, line, (size_t)length, "", "terminal");
  explicit_bzero(line, sizeof line);
  return 1;
}

static int secret_tostring(lua_State *L) {
  secret *s = tsh_bind_test(L, 1, &secret_class);

  lua_getiuservalue(L, 1, LABEL);
  if (s == NULL) {
    lua_pushfstring(L, "<secret %s closed>", lua_tostring(L, -1));
    return 1;
  }
  push_fingerprint(L, s->bytes, run_key, sizeof run_key, SHOWN_DIGITS);
  lua_pushfstring(L, "<secret %s %s>", lua_tostring(L, -2),
                  lua_tostring(L, -1));
  return 1;
}

static int secret_concat(lua_State *L) {
  int labelled = tsh_bind_test(L, 1, &secret_class) != NULL ? 1 : 2;
  size_t left_length = 0, right_length = 0;
  const char *left = tsh_bind_secret(L, 1, &left_length);
  const char *right = tsh_bind_secret(L, 2, &right_length);

  if (left == NULL || right == NULL)
    return luaL_error(L, "a secret joins with text only");
  lua_getiuservalue(L, labelled, LABEL);
  return push_secret(L, left, left_length, right, right_length);
}

static int secret_refuse(lua_State *L) {
  return luaL_error(L, "a secret can be handed on, not compared or measured");
}

/* redact(text) -> text with the bytes of live secrets blanked. */
static int redact(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  tsh_buf clean;

  tsh_buf_init(&clean, SIZE_MAX / 2);
  if (tsh_secret_redact(text, length, &clean) == 0) {
    tsh_buf_fini(&clean);
    lua_settop(L, 1);
    return 1;
  }
  if (clean.failed)
    lua_pushliteral(L, "<redacted>");
  else
    lua_pushlstring(L, tsh_buf_text(&clean), clean.length);
  tsh_buf_fini(&clean);
  return 1;
}

/* Several secrets in one, to be handed to a process of ours: for each its name
 * and its bytes, both behind their length. */

static size_t size_of_part(lua_State *L, int index) {
  size_t length;

  if (tsh_bind_secret(L, index, &length) == NULL)
    luaL_error(L, "pack wants texts and secrets by name");
  return sizeof length + length;
}

static char *put_part(lua_State *L, int index, char *to) {
  size_t length;
  const char *bytes = tsh_bind_secret(L, index, &length);

  memcpy(to, &length, sizeof length);
  memcpy(to + sizeof length, bytes, length);
  return to + sizeof length + length;
}

/* pack{ [name] = secret } -> secret. */
static int pack(lua_State *L) {
  size_t size = 0;
  secret *made;
  tsh_err err;
  char *to;

  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
    size += size_of_part(L, -2) + size_of_part(L, -1);
  made = tsh_bind_new(L, &secret_class);
  lua_pushliteral(L, "secrets");
  lua_setiuservalue(L, -2, LABEL);
  if (tsh_secret_new(&made->bytes, size, &err) != 0)
    return luaL_error(L, "%s", err.message);
  tsh_bind_opened(L, made);
  to = tsh_secret_bytes(made->bytes);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
    to = put_part(L, -1, put_part(L, -2, to));
  tsh_secret_publish(made->bytes);
  return 1;
}

static const char *take_part(const char **at, const char *end, size_t *length) {
  const char *bytes = *at + sizeof *length;

  if ((size_t)(end - *at) < sizeof *length)
    return NULL;
  memcpy(length, *at, sizeof *length);
  if (*length > (size_t)(end - bytes))
    return NULL;
  *at = bytes + *length;
  return bytes;
}

/* unpack(packed) -> { [name] = secret } | nil, err. */
static int unpack(lua_State *L) {
  secret *packed = tsh_bind_check(L, 1, &secret_class);
  const char *at = tsh_secret_bytes(packed->bytes);
  const char *end = at + tsh_secret_length(packed->bytes);
  const char *name, *bytes;
  size_t name_length, length;
  tsh_err err;

  lua_newtable(L);
  while (at < end) {
    name = take_part(&at, end, &name_length);
    bytes = name != NULL ? take_part(&at, end, &length) : NULL;
    if (bytes == NULL) {
      tsh_err_set(&err, TSH_PROTOCOL, "secret", 0, "no secrets of pack's");
      return tsh_bind_fail(L, &err);
    }
    lua_pushlstring(L, name, name_length);
    lua_pushvalue(L, -1);
    push_secret(L, bytes, length, "", 0);
    lua_settable(L, -3);
  }
  return 1;
}

static int is_secret(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, secret_class.name) != NULL);
  return 1;
}

static const luaL_Reg metamethods[] = {{"__tostring", secret_tostring},
                                       {"__concat", secret_concat},
                                       {"__eq", secret_refuse},
                                       {"__lt", secret_refuse},
                                       {"__le", secret_refuse},
                                       {"__len", secret_refuse},
                                       {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", secret_new},
                                     {"from_env", secret_from_env},
                                     {"from_file", secret_from_file},
                                     {"from_terminal", secret_from_terminal},
                                     {"from_input", secret_from_input},
                                     {"pack", pack},
                                     {"unpack", unpack},
                                     {"redact", redact},
                                     {"is", is_secret},
                                     {NULL, NULL}};

int luaopen_vm_secret(lua_State *L) {
  static const unsigned char zero[KEY_BYTES];

  if (memcmp(run_key, zero, sizeof zero) == 0 &&
      RAND_bytes(run_key, sizeof run_key) != 1)
    return luaL_error(L, "no random bytes");
  tsh_bind_class(L, &secret_class);
  luaL_getmetatable(L, secret_class.name);
  luaL_setfuncs(L, metamethods, 0);
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
