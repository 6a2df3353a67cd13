--- How an engine gets its secrets: references in the file, the rest given.

local json = require "vm.json"
local secret = require "vm.secret"
local sys = require "vm.sys"
local credentials = require "mirror.engine.credentials"

local test = ...

local PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"

local function folder(t)
  local dir = t.ok(sys.temporary_folder "tranship-test")
  return dir, setmetatable({}, { __close = function()
    for _, name in ipairs(sys.list(dir)) do sys.remove(dir .. "/" .. name) end
    sys.remove(dir)
  end })
end

test("what is written down holds references and no secret", function(t)
  local dir, gone <close> = folder(t)
  t.ok(sys.write_file(dir .. "/pw", "hunter22\n"))
  local file <close> = t.ok(secret.from_file(dir .. "/pw"))
  local typed <close> = secret.new("typed-secret", "p")
  local written, secrets = credentials.refer({ name = "old", bootstrap = "a:1",
    ca = PEM, login = { kind = "plain", user = "u", password = file } }, "from")
  t.equal(written, { name = "old", bootstrap = "a:1", ca = PEM,
    login = { kind = "plain", user = "u", password = "file:" .. dir .. "/pw" } })
  t.equal(next(secrets), "from.login.password")
  written, secrets = credentials.refer({ name = "new", ca = file, login = {
    kind = "certificate", cert = PEM, key = typed } }, "to")
  t.equal(written, { name = "new", ca = "file:" .. dir .. "/pw",
    login = { kind = "certificate", cert = PEM, key = "given" } })
  t.equal(json.encode(written):find "secret", nil)
  t.ok(secrets["to.ca"] and secrets["to.login.key"])
  -- A plain text in the place of a secret is one.
  written = credentials.refer({ login = { kind = "plain", user = "u",
    password = "text" } }, "from")
  t.equal(written.login.password, "given")
  t.ok(gone)
end)

test("references are read where the engine starts; all that lack are told",
  function(t)
    local dir, gone <close> = folder(t)
    t.ok(sys.write_file(dir .. "/pw", "hunter22\n"))
    local side = { name = "old", bootstrap = "a:1", more = "kept",
      ca = "file:/nowhere/ca.pem", login = { kind = "scram", user = "u",
        password = "given", key = "plain text" } }
    local whole, why = credentials.resolve(side, "from")
    t.fails("auth", whole, why)
    for _, part in ipairs { "ca of 'from'", "/nowhere/ca.pem",
      "login.password of 'from'", "handed over by the run",
      "login.key of 'from'", "no reference" } do
      t.ok(tostring(why):find(part, 1, true), part .. " in " .. tostring(why))
    end
    side.ca, side.login.key = "file:" .. dir .. "/pw", nil
    local given <close> = secret.new("given-secret", "g")
    whole = t.ok(credentials.resolve(side, "from",
      { ["from.login.password"] = given }))
    t.equal(whole.more, "kept")
    t.equal(whole.ca:fingerprint "k", sys.hmac_sha256("k", "hunter22"))
    t.equal(whole.login.password:fingerprint "k", given:fingerprint "k")
    -- Written down again, it is as it was.
    t.equal(credentials.refer(whole, "from"), side)

    t.ok(credentials.may_change(whole))
    t.equal(credentials.renewed(whole), nil)
    t.ok(sys.write_file(dir .. "/pw", "another\n"))
    local fresh = t.ok(credentials.renewed(whole))
    t.equal(fresh.ca:fingerprint "k", sys.hmac_sha256("k", "another"))
    t.equal(fresh.references, whole.references)
    t.equal(credentials.renewed(fresh), nil)
    t.ok(gone)
  end)
