"""What the built-in tagger knows: words of descriptions with their parts of speech (Penn Treebank tags)."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nouns, adjectives and verbs; where two lines name a word, the later one counts.
_OPEN = {
    "NN": """
        bird beak bill crown cap head throat chin neck nape breast chest belly abdomen stomach
        underbelly body back mantle rump wing tail feather leg foot tarsus eye eyering eyebrow brow
        cheek face forehead lore mask auricular supercilium eyeline ring line patch spot bar wingbar
        stripe streak band collar crest tuft plume plumage coat wingspan span side flank vent thigh claw
        talon toe web tip end base edge underside covert primary secondary rectrix undertail mouth nose
        nostril ear eyelid pupil iris lid mustache beard mohawk hair fur scale color colour coloring
        colouring coloration shade tone hue tint accent marking mark pattern spotting highlight area
        region part portion section rest remainder majority mixture mix variety type kind sort pair set
        number bit size length width shape form appearance look comparison contrast proportion relation
        exception top water sea ocean lake river pond beach shore land ground grass tree branch leaf
        twig log rock stone wire fence post sky air cloud flight albatross gull seagull duck goose
        parrot crow raven finch sparrow warbler wren heron song trill whistle chatter morning wind
        distance home light lunch train dog minute way picture photo image camera animal creature fowl
        seabird waterbird songbird female specimen species name flower petal stamen pistil stigma anther
        sepal stem stalk bud bloom blossom center centre filament style ovary car truck van wheel door
        window roof plane aircraft engine tailfin fuselage propeller forest marsh reed scrub heath
        meadow dune cliff garden orchard hedge field swamp stream spoon dagger needle fan streamer hook
        point curve berry canopy jet snow gloss sheen hint tinge
    """,
    "NNS": """
        feet wings primaries secondaries rectrices retrices tarsi leaves people fish geese bellies
        bodies scales tarsuses superciliaries legs eyes plumes
    """,
    "JJ": """
        jet black white grey gray brown red orange yellow green blue purple pink tan beige buff rufous rusty
        chestnut ochre tawny sandy sky slate cream creamy lemon olive golden silver gold maroon crimson
        scarlet turquoise teal violet indigo ivory charcoal bronze copper magenta lavender peach navy
        cinnamon rust amber russet iridescent multicolored multicoloured colorful colourful monochrome
        small large big tiny huge little tall short long wide narrow thick thin fat slim slender skinny
        stout stubby massive enormous giant medium average broad flat round oval square triangular
        conical straight sharp blunt curly wavy fluffy fuzzy furry soft hard smooth rough sleek shiny
        glossy dull bright dark light deep pale vivid vibrant stark dirty clean clear fine full empty
        heavy weak strong stocky plump chubby sturdy bulky tight loose wild young old new adult male
        juvenile great good nice fair fancy odd strange weird funny goofy crazy silly fierce unique
        unusual rare common exotic particular distinct different similar same various other such own
        whole entire main major minor primary secondary upper lower inner outer front rear top bottom
        middle left right central lateral visible prominent noticeable bold faint subtle slight solid
        plain simple complex regular irregular sparse dense double single multiple several few many much
        aquatic marine tropical coastal beautiful gorgeous cute elegant lovely handsome majestic
        impressive striking interesting amazing attractive intricate lengthy scruffy ruffled webbed
        hooked curved pointed rounded forked spotted striped speckled mottled streaked banded barred
        tufted crested ringed feathered winged beaked billed bodied breasted bellied headed eyed legged
        footed tailed crowned colored coloured sized shaped decurved upturned unmarked misty grainy
        squeaky liquid falling slow fast quick loud high low expansive proportional opaque feathery
        smoky smokey muddy hairy spiky pointy beady sickly wispy puffy stripy patchy leafy wooden rocky
        grassy open closed next last first second third dead alive equal due able lean mid downy
    """,
    "JJR": """
        larger smaller longer shorter darker lighter bigger thicker thinner wider narrower brighter
        paler taller sharper flatter rounder fatter duller deeper smoother heavier softer fuller
        fluffier stronger greyer grayer whiter blacker browner yellower redder bluer higher lower better
        worse
    """,
    "JJS": """
        largest smallest longest shortest darkest lightest biggest thickest thinnest widest brightest
        palest tallest best
    """,
}
# Words of grammar, and verbs that captions use.
_CLOSED = {
    "DT": "a an the this these those each every some any no another both either neither all half",
    "PRP$": "its his her their my our your whose",
    "PRP": "it he she they we you i me us him them itself himself herself themselves one's",
    "IN": """of in on with at by from for over under around near across along through between above below behind
        beneath underneath like than as into onto toward towards against about during until while because if
        although though since except besides beside without within throughout despite unlike atop upon beyond amid
        among via per off whether so till after before inside outside alongside""",
    "TO": "to",
    "CC": "and or but nor plus yet & n",
    "EX": "there",
    "WDT": "which",
    "WP": "who whom what",
    "WRB": "where when why how",
    "MD": "can could will would may might shall should must cannot",
    "RP": "up",
    "UH": "oh yes please",
    "POS": "'s '",
    "CD": """one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred
        thousand""",
    "VB": "be have do make see get go look seem appear give take match stand let",
    "VBP": "are am 're 'm 've do",
    "VBZ": """is has does lives seems appears contains resembles consists comes goes gets makes gives helps sits
        eats flies swims shows wears holds lies lays belongs matches surrounds contrasts extends becomes remains
        tapers resembles possesses displays""",
    "VBD": "was were had did saw passed stayed went came sat stood flew looked seemed appeared got took made",
    "VBG": "having being doing going getting making",
    "VBN": "been done seen known shown given taken drawn worn grown torn kept left held built cut set bent swept",
    "RB": """not n't very also too mostly almost just quite rather really fairly nearly then now here away down
        downward downwards upward upwards forward forwards backward backwards together overall somewhat well even
        only still never always often sometimes maybe perhaps however everywhere else already
        again once twice instead alone ahead aside apart outward outwards inward inwards extra pretty otherwise""",
    "RBR": "less more",
    "RBS": "most least",
}
# A verb after its subject, a noun elsewhere: "its beak curves down", "two white curves".
VERB_OR_NOUN = _words("""
    curves points hooks ends covers looks features stands sticks turns starts fades blends droops meets runs stops
    rests flows leads tips stripes circles surrounds changes contrasts hangs rises
""")
# A noun after a determiner, adjective or comma, an adverb elsewhere: "its back", "swept back".
NOUN_OR_ADVERB = _words("back")
# An adjective before a noun or adjective, an adverb elsewhere: "overall body color", "it is black overall".
ADVERB_OR_ADJECTIVE = _words("overall downward upward forward backward inward outward")
# Adjectives before a noun or another adjective; nouns after a determiner elsewhere: "the white of its eye".
ADJECTIVE_OR_NOUN = _words("""
    black white grey gray brown red orange yellow green blue purple pink tan cream olive gold primary secondary
    square female male juvenile adult jet
""")
# Nouns after a determiner and also after an adjective: "a rounded top", "the light was fading".
PLACES = _words("light top bottom front middle left right")
# With the noun before them an adjective, where a noun follows: "a dagger shaped bill", "rose colored petals".
AFTER_NOUN = _words("shaped colored coloured sized thin like")
LEXICON = {word: tag for tag, words in (_OPEN | _CLOSED).items() for word in words.split()}
