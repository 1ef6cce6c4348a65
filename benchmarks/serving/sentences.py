"""What people say in the benchmarks' dialogues."""

SENTENCES = (
    "hello",
    "how are you today?",
    "i went to the park with my dog and we played for a long time",
    "what do you like to do when it rains?",
    "i think that i would like to learn how to cook something new this week",
    "no, not really",
    "my sister is going to visit me next month, and i have not seen her for two years",
    "do you know a good book?",
    "it was a long day at work and now i am very tired",
    "why?",
    "tell me more about that, please",
    "last night i watched a film about a man who lives alone on a small island",
)
