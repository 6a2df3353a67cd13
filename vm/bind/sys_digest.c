/* vm.sys, bytes: chance, digests, and their spellings as text. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "sys.h"

enum { MOST_RANDOM = 4096 };

static void push_hex(lua_State *L, const unsigned char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  luaL_Buffer b;
  char *text = luaL_buffinitsize(L, &b, 2 * length);

  for (size_t i = 0; i < length; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  luaL_pushresultsize(&b, 2 * length);
}

static int sys_random(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  unsigned char bytes[MOST_RANDOM];

  luaL_argcheck(L, count >= 0 && count <= MOST_RANDOM, 1, "0 to 4096 bytes");
  if (RAND_bytes(bytes, (int)count) != 1)
    return luaL_error(L, "no random bytes");
  lua_pushlstring(L, (const char *)bytes, (size_t)count);
  return 1;
}

/* sha256(text) -> 64 hex digits. */
static int sys_sha256(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int sum_length = 0;

  if (EVP_Digest(text, length, sum, &sum_length, EVP_sha256(), NULL) != 1)
    return luaL_error(L, "sha256 is not available");
  push_hex(L, sum, sum_length);
  return 1;
}

/* hmac_sha256(key, text) -> 64 hex digits. */
static int sys_hmac_sha256(lua_State *L) {
  size_t key_length, length;
  const char *key = luaL_checklstring(L, 1, &key_length);
  const char *text = luaL_checklstring(L, 2, &length);
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int sum_length = 0;

  if (HMAC(EVP_sha256(), key, (int)key_length, (const unsigned char *)text,
           length, sum, &sum_length) == NULL)
    return luaL_error(L, "hmac is not available");
  push_hex(L, sum, sum_length);
  return 1;
}

static int sys_hex(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);

  push_hex(L, (const unsigned char *)text, length);
  return 1;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)(c | 32);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int fail_text(lua_State *L, const char *what) {
  tsh_err err;

  tsh_err_set(&err, TSH_INVALID, "sys", 0, "not %s", what);
  return tsh_bind_fail(L, &err);
}

/* from_hex(text) -> bytes | nil, err. */
static int sys_from_hex(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  luaL_Buffer b;
  char *bytes = luaL_buffinitsize(L, &b, length / 2);

  if (length % 2 != 0)
    return fail_text(L, "hexadecimal");
  for (size_t i = 0; i < length / 2; i++) {
    int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

    if (high < 0 || low < 0)
      return fail_text(L, "hexadecimal");
    bytes[i] = (char)(high << 4 | low);
  }
  luaL_pushresultsize(&b, length / 2);
  return 1;
}

static int sys_base64(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, (length + 2) / 3 * 4 + 1);
  int written = EVP_EncodeBlock((unsigned char *)out,
                                (const unsigned char *)text, (int)length);

  luaL_pushresultsize(&b, (size_t)written);
  return 1;
}

/* from_base64(text) -> bytes | nil, err. */
static int sys_from_base64(lua_State *L) {
  size_t length, padding = 0;
  const char *text = luaL_checklstring(L, 1, &length);
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, length + 1);
  int written = length % 4 != 0
                    ? -1
                    : EVP_DecodeBlock((unsigned char *)out,
                                      (const unsigned char *)text, (int)length);

  if (written < 0)
    return fail_text(L, "base64");
  while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
    padding++;
  luaL_pushresultsize(&b, (size_t)written - padding);
  return 1;
}

static const luaL_Reg functions[] = {
    {"random", sys_random},           {"sha256", sys_sha256},
    {"hmac_sha256", sys_hmac_sha256}, {"hex", sys_hex},
    {"from_hex", sys_from_hex},       {"base64", sys_base64},
    {"from_base64", sys_from_base64}, {NULL, NULL}};

void tsh_sys_register_digests(lua_State *L) { luaL_setfuncs(L, functions, 0); }
