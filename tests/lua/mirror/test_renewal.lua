-- Credentials that are renewed while a run works, with clusters and an engine of
-- this file.
local test = ...
local credentials = require "mirror.engine.credentials"
local err = require "base.err"
local login = require "kafka.login"
local renewal = require "mirror.bridge.renewal"
local secret = require "vm.secret"

local function side(word)
  return { name = "x", bootstrap = "a:1", login = { kind = "scram", user = "u",
    password = secret.new(word, "p") } }
end

--- A cluster whose password is `words[1]`, and another one after each renewal.
local function cluster(words, strimzi)
  local made = { strimzi = strimzi, renewals = 0 }
  function made._side() return side(words[1]) end
  function made._renew_login()
    if not words[2] then return false end
    table.remove(words, 1)
    made.renewals = made.renewals + 1
    return true
  end
  return made
end

local function bridge(from, to)
  local road = { name = "road", from = from, to = to, handed = {} }
  function road.cluster(_, at) return road[at] end
  function road.home()
    return { hand_over = function(_, spec)
      if road.is_away then return false end
      road.handed[#road.handed + 1] = login.marks(spec.from)
      return true
    end }
  end
  return road
end

test("handed over at the first look, and whenever something is new", function(t)
  local road = bridge(cluster({ "one" }, {}), cluster { "same" })
  road.is_away = true
  t.equal(t.ok(renewal.look(road) ~= nil), true)
  t.equal(road.handed, {}, "no engine is there yet")
  road.is_away = false
  t.ok(renewal.look(road))
  t.equal(renewal.look(road), false)
  road.from = cluster({ "one", "two" }, {})
  t.ok(renewal.look(road))
  t.equal(#road.handed, 2)
  t.ok(road.handed[1] ~= road.handed[2])
  t.equal(renewal.look(bridge(cluster { "a" }, cluster { "b" })), false,
    "nothing is read from anywhere")
end)

test("somebody else on the source, by the name of a KafkaUser", function(t)
  local asked
  local from = cluster({ "run" }, { login_of = function(_, name)
    asked = name
    return side "engine".login
  end })
  local road = bridge(from, cluster { "same" })
  road._as = { from = "migration" }
  t.ok(renewal.look(road))
  t.equal(asked, "migration")
  t.equal(road.handed[1], login.marks(side "engine"))
end)

test("a reading that is refused is asked again once the login is another", function(t)
  local refused, asked = err.new { kind = "auth", message = "no" }, 0
  local function read()
    asked = asked + 1
    if asked == 1 then return nil, refused end
    return "yes"
  end
  local road = bridge(cluster({ "one", "two" }, {}), cluster { "same" })
  t.equal(renewal.again(road, read), "yes")
  t.equal(road.from.renewals, 1)
  asked = 0
  local _, why = renewal.again(road, read)
  t.equal(why, refused, "nothing is new")
  refused, asked = err.new { kind = "closed", message = "cut off" }, 0
  t.equal(renewal.again(road, read), "yes")
  _, why = renewal.again(road, function() return nil, err.new { kind = "io", message = "x" } end)
  t.equal(why.kind, "io")
end)

test("an engine takes what was handed over, where no file says it", function(t)
  local had = side "one"
  local given = credentials.all(side "two", "from")
  local fresh = t.ok(credentials.renewed(had, "from", given))
  t.equal(login.marks(fresh), login.marks(side "two"))
  t.equal(credentials.renewed(fresh, "from", given), nil)
  t.equal(credentials.renewed(had, "to", given), nil, "the other side's")
  had.references = { ["login.password"] = "file:/nowhere" }
  t.equal(credentials.renewed(had, "from", given), nil, "its file says what it is")
  had = side "one"
  had.ca = "-----BEGIN CERTIFICATE-----"
  given = credentials.all(had, "from")
  t.equal(credentials.renewed(had, "from", given), nil)
  given["from.ca"] = secret.new("-----BEGIN CERTIFICATE----- another", "ca")
  t.ok(credentials.renewed(had, "from", given))
end)
