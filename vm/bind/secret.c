/* vm.secret: text that may be handed on, and never looked at.
 *
 * A secret prints as "<secret label fp>"; joining it gives a secret; comparing
 * and measuring are refused. Only sinks open it, in C (tsh_bind_secret). */
#include "tranship/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

typedef struct secret {
  tsh_secret *bytes;
} secret;

enum { LABEL = 1, KEY_BYTES = 32, SHOWN_DIGITS = 4 };

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

static const luaL_Reg methods[] = {{"fingerprint", secret_fingerprint},
                                   {"label", secret_label},
                                   {NULL, NULL}};

static const tsh_class secret_class = {"secret", sizeof(secret),
                                       secret_release, methods};

const char *tsh_bind_secret(lua_State *L, int index, size_t *length) {
  secret *s = tsh_bind_test(L, index, &secret_class);

  if (s == NULL)
    return lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, length)
                                             : NULL;
  *length = tsh_secret_length(s->bytes);
  return tsh_secret_bytes(s->bytes);
}

/* Pushes a secret of `length` bytes with the label on top (which is popped);
 * returns where to write them. */
static char *push_secret(lua_State *L, size_t length) {
  secret *s = tsh_bind_new(L, &secret_class);
  tsh_err err;

  lua_insert(L, -2);
  lua_setiuservalue(L, -2, LABEL);
  if (tsh_secret_new(&s->bytes, length, &err) != 0)
    luaL_error(L, "%s", err.message);
  tsh_bind_opened(L, s);
  return tsh_secret_bytes(s->bytes);
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
  memcpy(push_secret(L, length), text, length);
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
  char *bytes;

  if (left == NULL || right == NULL)
    return luaL_error(L, "a secret joins with text only");
  lua_getiuservalue(L, labelled, LABEL);
  bytes = push_secret(L, left_length + right_length);
  memcpy(bytes, left, left_length);
  memcpy(bytes + left_length, right, right_length);
  return 1;
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

static const luaL_Reg functions[] = {
    {"new", secret_new}, {"redact", redact}, {"is", is_secret}, {NULL, NULL}};

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
