"""A compact Discord on loopback, REST v10 and gateway, that a real bot can be pointed at.

    async with serving() as server:
        guild = server.add_guild("Home")
        general, ada = server.add_channel(guild), server.add_member(guild, "ada")
        async with await BotProcess.start(server, folder=tmp_path) as bot:
            await bot.ready()
            server.say(general, ada, "hello", mention_bot=True)
            (reply,) = await server.wait_replies(general)
            assert (await bot.terminate()).exit_code == 0

What stands where: `state` and `world` are what exists, `members` and `encounters` what people do,
`messages`, `accounts` and `callbacks` the REST routes, `rest` the way of a request through
`limits`, `faults` and `schema`; `gateway`, `sessions` and `wire` are the websocket.
"""
