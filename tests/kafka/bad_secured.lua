--- A secured broker that refuses, seen from outside: a wrong password and
-- rights that are missing. The exit code, what is said, and what was left behind.

local test = ...

local secret = require "vm.secret"
local sys = require "vm.sys"
local task = require "vm.task"
local cluster = require "kafka.cluster"
local bad = dofile "tests/kafka/lib/bad.lua"
local secure = dofile "tests/support/secure.lua"

local HEAD = [[
runbook "%s" {}
local p = params { password = a.secret { from = "file:%s", help = "alice's" } }
local new = cluster "new" { bootstrap = "%s", login = scram { "alice", p.password } }
]]

local function add_alice(t, admin)
  local password <close> = secret.new("alice-pw", "alice")
  local done, why
  for _ = 1, 5 do -- a young broker can lose a first request
    done, why = admin:alter_user { name = "alice", mechanism = "SCRAM-SHA-512",
      iterations = 4096, password = password }
    if done or not why.retriable then break end
  end
  t.ok(done, why)
  for _ = 1, 100 do -- brokers learn of users a moment later
    if #t.ok(admin:users()) == 1 then return end
    task.sleep(50)
  end
end

-- A case whose runbook logs in with that password.
local function case(t, place, name, password, steps)
  local file = ("%s/%s.pw"):format(place.dir, name)
  t.ok(sys.write_file(file, password, { mode = 384 })) -- 0600
  return bad.with_book(t, place, name, HEAD:format(name, file, place.new) .. steps)
end

local function has_topic(t, admin, name)
  for _, one in ipairs(t.ok(admin:topics())) do
    if one.name == name then return true end
  end
  return false
end

local MAKE = 'step "1. Make it" { ensure = new:topic { "%s", partitions = 1 } }'

local function wrong_password(t, place, admin)
  local one = case(t, place, "wrong-password", "not-her-pw", MAKE:format "a.wrong")
  local ended = one:run()
  one:refused(ended, "cluster new %(localhost:%d+%)", "[Aa]uthentication failed",
    "tranship plan")
  t.equal(ended.said:find("not-her-pw", 1, true), nil, "the password is shown")
  t.ok(not has_topic(t, admin, "a.wrong"))
end

-- Without TLS at a listener that wants it: what the connection said, and not only
-- that there is no broker.
local function without_tls(t, on)
  local plain <close> = cluster.new { name = "plain", bootstrap = on.ssl, timeout_ms = 5000 }
  local topics, why = plain:topics()
  t.equal(topics, nil)
  t.match(why, "^cluster plain %(localhost:%d+%): kafka: .*connecting to a SSL listener%?")
end

-- A right that a step looks for; and one that the plan is refused for.
local function missing_rights(t, place, admin)
  local one = case(t, place, "rights", "alice-pw",
    'step "1. May we" { verify = new:rights { "create topics" }, timeout = "1s" }')
  one:stopped(one:run(), 1, "at step 1 %(1%. May we%)", "new: may not create")
  one:sound()
  one:give_up()

  local other = case(t, place, "denied", "alice-pw", MAKE:format "a.denied")
  other:refused(other:run(), "step 1 %(1%. Make it%): a%.denied on new: "
    .. "[^\n]*[Aa]uthorization failed")
  t.ok(not has_topic(t, admin, "a.denied"))

  -- Given the right, the same runbook goes through.
  t.ok(admin:create_acls { { resource_type = "topic", name = "a.denied",
    principal = "User:alice", operation = "all" } })
  other:says(other:run(), 0)
  other:sound "kafka.create_topics"
  t.ok(has_topic(t, admin, "a.denied"))
end

test("logins and rights that are refused", function(t)
  local dir <const> = t.ok(sys.temporary_folder "tranship-secured")
  local _ <close> = setmetatable({}, { __close = function() sys.run { "rm", "-rf", dir } end })
  secure.with(function(on)
    local place = { dir = dir, state = dir .. "/state", new = on.sasl_plaintext }
    local admin <close> = cluster.new { name = "admin", bootstrap = on.plaintext,
      timeout_ms = 30000 }
    add_alice(t, admin)
    wrong_password(t, place, admin)
    without_tls(t, on)
    missing_rights(t, place, admin)
  end)
end)
