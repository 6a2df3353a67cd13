-- acme/moves 1.2.0: one rule moves every kind of application, in either direction.
local moves = {}

moves.move = goal "{app} works on {to}" {
  takes = {
    a.workload "app", a.cluster "to", a.bridge "over",
    a.duration "drain" { default = "5m", help = "how long stopping and draining may take" },
  },
  check = function(g)
    return g.app:runs_on(g.to)
      and g.app:stopped_on(g.over:other(g.to))
      and g.over:writer_is(g.app.writes, g.to)
  end,
  apply = function(g, run)
    run:gap("{app} is down", function()
      g.app:stop { on = g.over:other(g.to), within = g.drain } -- none left running, group empty
      g.over:drain(g.app.reads, { within = g.drain })          -- what it has read is on both sides
      g.over:carry_offsets(g.app.group, { to = g.to })         -- it resumes where it stopped
      g.over:turn(g.app.writes, { writer = g.to })             -- one writing side per topic
      g.app:start { on = g.to }
    end)
  end,
  verify = function(g) return g.app:ready { on = g.to, within = "3m" } end,
  undo = function(g) -- the way back is the same move
    return moves.move { g.app, to = g.over:other(g.to), over = g.over, drain = g.drain }
  end,
}

return moves
