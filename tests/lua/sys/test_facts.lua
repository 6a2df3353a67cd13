-- Facts about the machine, digests and their spellings, probes.
local test = ...
local sys = require "vm.sys"

test("facts have the types they should", function(t)
  t.ok(sys.time() > 1700000000000)
  t.ok(#sys.hostname() > 0)
  t.ok(#sys.user() > 0)
  t.equal(sys.cwd(), sys.realpath ".")
  t.equal(sys.env "TRANSHIP_NO_SUCH_VARIABLE", nil)
  t.match(sys.executable(), "tranship")
  t.equal(#sys.random(16), 16)
  t.ok(sys.random(16) ~= sys.random(16))
end)

test("digests agree with their published examples", function(t)
  t.equal(sys.sha256 "abc",
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  t.equal(sys.hmac_sha256("key",
    "The quick brown fox jumps over the lazy dog"),
    "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8")
end)

test("hex and base64 go there and back", function(t)
  for n = 0, 40 do
    local bytes = sys.random(n)
    t.equal(sys.from_hex(sys.hex(bytes)), bytes)
    t.equal(sys.from_base64(sys.base64(bytes)), bytes)
  end
  t.equal(sys.base64 "ab\0", "YWIA")
  t.fails("invalid", sys.from_hex "abc")
  t.fails("invalid", sys.from_hex "zz")
  t.fails("invalid", sys.from_base64 "abc")
  t.fails("invalid", sys.from_base64 "a*==")
end)

test("a probe of nobody is refused, soon", function(t)
  t.fails("unavailable", sys.probe_tcp("127.0.0.1", 1))
  t.fails("unavailable", sys.probe_tcp("no-such-host.invalid", 9092))
end)
