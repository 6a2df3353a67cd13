-- When a request is sent again: told by answers of a stand-in session.
local test = ...
local task = require "vm.task"
local json = require "vm.json"
local request = require "kube.request"
local status = require "kube.status"
local err = require "base.err"

--- A stand-in for a session of vm.kube: gives its answers one by one.
local function session_of(answers)
  return { asked = {}, request = function(self, ask)
    self.asked[#self.asked + 1] = ask
    local one = answers[math.min(#self.asked, #answers)]
    if one.kind then return nil, err.new(one) end
    one.warnings = one.warnings or {}
    return one
  end }
end

local KUBE = { name = "k", _timeout_ms = 1000, _warned = {}, _warnings = {} }

local function send(answers, options)
  local session = session_of(answers)
  options.path, options.doing = "/x", "do it"
  options.within_ms = options.within_ms or 5000
  local answer, why = request.send(KUBE, session, options)
  return #session.asked, answer, why
end

local GOOD = { status = 200 }
local CLOSED = { kind = "closed", message = "reset" }
local UNSENT = { kind = "unavailable", message = "refused", retriable = true }

test("what was surely not done is sent again, whatever it is", function(t)
  for _, first in ipairs { { status = 429, retry_after = "0" },
    { status = 503, retry_after = "0" }, UNSENT } do
    t.equal(send({ first, GOOD }, { method = "POST" }), 2)
  end
  local began = task.now()
  t.equal(send({ { status = 429, retry_after = "1" }, GOOD }, {}), 2)
  t.ok(task.now() - began >= 990, "Retry-After was not waited for")
end)

test("what may have been done is only repeated where it does no harm", function(t)
  for _, first in ipairs { CLOSED, { kind = "timeout", message = "late" },
    { status = 503 }, { status = 504 } } do
    t.equal(send({ first, GOOD }, { method = "GET" }), 2)
    t.equal(send({ first, GOOD }, { method = "PATCH", repeats = true }), 2)
    local count, answer, why = send({ first, GOOD }, { method = "POST" })
    t.equal(count, 1)
    t.equal(answer, nil)
    t.ok(why.kind == "closed" or why.kind == "timeout"
      or why.kind == "unavailable", why.kind)
  end
end)

test("other answers are final", function(t)
  for code, kind in pairs { [400] = "invalid", [401] = "auth", [403] = "denied",
    [404] = "not found", [409] = "conflict", [410] = "expired",
    [422] = "invalid", [500] = "unavailable", [302] = "protocol" } do
    local count, answer, why = send({ { status = code, body = "no" } }, {})
    t.equal(count, 1)
    t.fails(kind, answer, why)
    t.equal(why.code, code)
  end
end)

test("time ends the tries, and the last trouble is said", function(t)
  local count, answer, why = send({ UNSENT }, { within_ms = 900 })
  t.ok(count >= 2, count)
  t.fails("unavailable", answer, why)
  t.match(tostring(why), "gave up after %d+ tries")
  count = send({ { status = 429, retry_after = "60" } }, { within_ms = 500 })
  t.equal(count, 1) -- it would be too late
end)

test("warnings are said once", function(t)
  local warned = { status = 200, warnings = { '299 - "old \\"v1\\" goes"' } }
  send({ warned }, {})
  send({ warned }, {})
  t.equal(KUBE._warnings, { 'old "v1" goes' })
  t.equal(status.retry_after_ms { retry_after = "2" }, 2000)
  t.equal(json.is_view(nil), false)
end)
