-- Secrets: handed on, never looked at, never printed.
local test = ...
local secret = require "vm.secret"
local sys = require "vm.sys"

test("it prints as its label and a keyed mark", function(t)
  local one <close> = secret.new("hunter22", "kafka/admin")
  local two <close> = secret.new("hunter23", "kafka/admin")
  t.match(one, "^<secret kafka/admin %x%x%x%x>$")
  t.ok(tostring(one) ~= tostring(two))
  t.equal(("%s"):format(one), tostring(one))
end)

test("joining gives a secret", function(t)
  local one <close> = secret.new("hunter22", "p")
  local joined <close> = "user:" .. one
  local more <close> = joined .. "@host"
  t.ok(secret.is(more))
  t.match(more, "^<secret p")
  local same <close> = secret.new("user:hunter22@host", "q")
  t.equal(more:fingerprint "k", same:fingerprint "k")
  t.equal(more:fingerprint "k", sys.hmac_sha256("k", "user:hunter22@host"))
end)

test("comparing and measuring are refused", function(t)
  local one <close> = secret.new("a-secret", "p")
  local two <close> = secret.new("a-secret", "p")
  t.raises("not compared", function() return one == two end)
  t.raises("not compared", function() return one < two end)
  t.raises("not compared", function() return #one end)
  t.raises("joins with text", function() return one .. {} end)
end)

test("redact blanks live secrets, the longest first", function(t)
  local long <close> = secret.new("hunter22-and-more", "p")
  do
    local short <close> = secret.new("hunter22", "q")
    t.equal(secret.redact "x hunter22 hunter22-and-more y",
      "x <redacted> <redacted> y")
    t.match(short, "secret")
  end
  t.equal(secret.redact "x hunter22 y", "x hunter22 y")
  t.match(long, "secret")
end)

test("very short secrets do not blank innocent text", function(t)
  local one <close> = secret.new("abc", "p")
  t.equal(secret.redact "abcabc", "abcabc")
  t.match(one, "secret")
end)

test("from the environment and from files", function(t)
  t.fails("not found", secret.from_env "TRANSHIP_NO_SUCH_VARIABLE")
  local path = sys.temporary_folder "tranship-test"
  sys.write_file(path .. "/s", "from-a-file\n", { mode = 384 })
  local one <close> = t.ok(secret.from_file(path .. "/s"))
  t.equal(one:fingerprint "k", sys.hmac_sha256("k", "from-a-file"))
  t.fails("not found", secret.from_file(path .. "/absent"))
  sys.remove(path .. "/s")
  sys.remove(path)
end)

test("output passes through redaction", function(t)
  local path = sys.temporary_folder "tranship-test"
  local script = path .. "/s.lua"
  sys.write_file(script, [[
    local secret = require "vm.secret"
    local s = secret.new("hunter22", "p")
    require "vm.sys".out("out hunter22\n")
    require "vm.sys".errout("err hunter22\n")
    require "vm.log".error("log hunter22")
    error("raised hunter22")
  ]])
  local r = t.ok(sys.run { sys.executable(), "--lua", script })
  t.equal(r.stdout, "out <redacted>\n")
  t.match(r.stderr, "err <redacted>")
  t.match(r.stderr, "log <redacted>")
  t.match(r.stderr, "raised <redacted>")
  t.equal((r.stdout .. r.stderr):find "hunter", nil)
  sys.remove(script)
  sys.remove(path)
end)

test("a secret knows where it came from, until it is joined", function(t)
  local env <close> = t.ok(secret.from_env "PATH")
  t.equal(env:source(), "env:PATH")
  local dir = t.ok(sys.temporary_folder "tranship-test")
  t.ok(sys.write_file(dir .. "/pw", "from-a-file\n"))
  local file <close> = t.ok(secret.from_file(dir .. "/pw"))
  t.equal(file:source(), "file:" .. dir .. "/pw")
  local joined <close> = file .. "!"
  t.equal(joined:source(), nil)
  local typed <close> = secret.new("typed", "p")
  t.equal(typed:source(), nil)
  sys.remove(dir .. "/pw")
  sys.remove(dir)
end)

test("secrets go to another process through its standard input", function(t)
  local one <close> = secret.new("first-secret\n", "a")
  local packed <close> = secret.pack { ["from.password"] = one, ca = "PEM" }
  t.match(packed, "^<secret secrets")
  local out = t.ok(secret.unpack(packed))
  t.equal(out["from.password"]:fingerprint "k", one:fingerprint "k")
  t.equal(out.ca:fingerprint "k", sys.hmac_sha256("k", "PEM"))
  t.fails("protocol", secret.unpack(one))
  local child <close> = t.ok(sys.spawn { args = { "sha256sum" },
    stdin = packed, stdout = "pipe" })
  local line = child:read()
  t.equal(child:wait().code, 0)
  local direct <close> = t.ok(sys.spawn { args = { "sha256sum" },
    stdin = "pipe", stdout = "pipe" })
  t.ok(direct:write "x")
  direct:close_stdin()
  t.ok(direct:read() ~= line)
  direct:wait()
  local small <close> = secret.new("hunter22", "p")
  local echo <close> = t.ok(sys.spawn { args = { "sha256sum" }, stdin = small,
    stdout = "pipe" })
  t.equal(echo:read(), sys.sha256 "hunter22" .. "  -")
  echo:wait()
  t.raises("60000", function()
    sys.spawn { args = { "cat" }, stdin = secret.new(("x"):rep(60001), "p") }
  end)
end)
